// A backend that remembers the most bytes that lived in its tensors after any of its calls.
import { methodsOf } from "./timed-backend.mjs";

/** @returns the backend, `watch()` and `peak()`, which ends the watch: calls cost what they cost again */
export function watchedBackend(backend) {
  let [peak, watching] = [0, false];
  const watched = { name: backend.name, description: backend.description };
  for (const method of methodsOf(backend)) {
    watched[method] = (...args) => {
      const result = backend[method](...args);
      if (watching) peak = Math.max(peak, backend.liveBytes());
      return result;
    };
  }
  return {
    backend: watched,
    watch: () => void (watching = true),
    peak: () => {
      watching = false;
      return peak;
    },
  };
}
