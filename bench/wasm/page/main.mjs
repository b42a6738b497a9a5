// All work in a worker, as pages do it.
window.measure = (rounds) =>
  new Promise((resolve) => {
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => resolve(data));
    worker.addEventListener("error", ({ message }) => resolve({ fault: message }));
    worker.postMessage({ rounds, ort: new URL("ort/", document.baseURI).href });
  });
