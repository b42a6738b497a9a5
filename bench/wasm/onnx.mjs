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
const number = (field, n) => Buffer.from([...varint(field << 3), ...varint(n)]);
const message = (field, ...parts) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(content.length)]), content]);
};
const text = (field, word) => message(field, Buffer.from(word));

/** c [m,n] = a [m,k] · b [k,n] in f32; b is part of the model, so that it may be packed ahead. */
export function productModel([m, n, k], b) {
  const extents = (shape) => shape.map((extent) => message(1, number(1, extent)));
  const value = (field, name, shape) =>
    message(field, text(1, name), message(2, message(1, number(1, 1), message(2, ...extents(shape)))));
  const node = message(1, text(1, "a"), text(1, "b"), text(2, "c"), text(4, "MatMul"));
  const weight = message(5, number(1, k), number(1, n), number(2, 1), text(8, "b"), message(9, Buffer.from(b.buffer)));
  const graph = message(7, node, text(2, "product"), weight, value(11, "a", [m, k]), value(12, "c", [m, n]));
  return Buffer.concat([number(1, 8), graph, message(8, number(2, 13))]);
}
