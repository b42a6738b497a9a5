// A backend that adds up the time of its calls: what a step takes beyond it is JavaScript.

/** @returns the backend, every call timed, and `seconds()` since it was last asked */
export function timedBackend(backend) {
  let milliseconds = 0;
  const timed = { name: backend.name, description: backend.description };
  for (const method of methodsOf(backend)) {
    timed[method] = (...args) => {
      const started = performance.now();
      try {
        // `read` returns a promise, but works before it does.
        return backend[method](...args);
      } finally {
        milliseconds += performance.now() - started;
      }
    };
  }
  const seconds = () => {
    const before = milliseconds;
    milliseconds = 0;
    return before / 1000;
  };
  return { backend: timed, seconds };
}

/** Names of a backend's methods. */
export const methodsOf = (backend) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(backend)).filter((name) => name !== "constructor");
