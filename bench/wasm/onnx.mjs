// onnxruntime-web, from npm into the cache folder.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cache, once, run } from "../../tools/lib.mjs";

const version = "1.22.0";

/** Its version and the folder of its modules: with its 90 MB it is no dependency of a checkout. */
export function onnxruntime() {
  const folder = join(cache, `onnxruntime-web-${version}`);
  const words = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--silent", `onnxruntime-web@${version}`];
  once(join(folder, ".installed"), version, () => run("npm", words, { quiet: true }));
  return { version, dist: join(folder, "node_modules/onnxruntime-web/dist") };
}

/** In Node, on one thread. */
export async function onnxruntimeHere(dist) {
  const ort = await import(pathToFileURL(join(dist, "ort.node.min.mjs")).href);
  ort.env.wasm.numThreads = 1;
  return ort;
}
