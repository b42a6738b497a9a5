// onnxruntime-web on one thread, and the ONNX model of one matrix product, byte by byte (onnx.proto3).
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cache, once, run } from "../../tools/lib.mjs";

const version = "1.22.0";

/** From npm into the cache folder: with its 90 MB it is no dependency of a checkout. */
export async function onnxruntime() {
  const folder = join(cache, `onnxruntime-web-${version}`);
  const words = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--silent", `onnxruntime-web@${version}`];
  once(join(folder, ".installed"), version, () => run("npm", words, { quiet: true }));
  const dist = join(folder, "node_modules/onnxruntime-web/dist");
  const ort = await import(pathToFileURL(join(dist, "ort.node.min.mjs")).href);
  ort.env.wasm.numThreads = 1;
  return { ort, version };
}

const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
const number = (field, n) => [...varint(field << 3), ...varint(n)];
const bytes = (field, content) => [...varint((field << 3) | 2), ...varint(content.length), ...content];
const text = (field, word) => bytes(field, [...Buffer.from(word)]);

/** c [m,n] = a [m,k] · b [k,n] in f32. */
export function productModel([m, n, k]) {
  const shape = (extents) => extents.flatMap((extent) => bytes(1, number(1, extent)));
  const value = (field, name, extents) =>
    bytes(field, [...text(1, name), ...bytes(2, bytes(1, [...number(1, 1), ...bytes(2, shape(extents))]))]);
  const node = [...text(1, "a"), ...text(1, "b"), ...text(2, "c"), ...text(4, "MatMul")];
  const values = [...value(11, "a", [m, k]), ...value(11, "b", [k, n]), ...value(12, "c", [m, n])];
  const graph = [...bytes(1, node), ...text(2, "product"), ...values];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 13))]);
}
