import { loadWasm, openBackend } from "@welltempered/kernels";
import { products } from "../products.mjs";

async function measure({ rounds, ort: folder }) {
  const ort = await import(/* @vite-ignore */ `${folder}ort.wasm.min.mjs`);
  Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: folder });
  await loadWasm();
  const k = openBackend();
  return { description: k.description, products: await products({ ort, k, rounds }) };
}

self.addEventListener("message", async ({ data }) => {
  self.postMessage(await measure(data).catch((error) => ({ fault: String(error) })));
});
