// The ONNX model of one matrix product, byte by byte (onnx.proto3), in Node and in a page.

const joined = (parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
const number = (field, n) => Uint8Array.from([...varint(field << 3), ...varint(n)]);
const bytes = (field, content) => [Uint8Array.from([...varint((field << 3) | 2), ...varint(content.length)]), content];
const message = (field, ...parts) => joined(bytes(field, joined(parts)));
const text = (field, word) => message(field, new TextEncoder().encode(word));

/** c [m,n] = a [m,k] · b [k,n] in f32; b is part of the model, so that it may be packed ahead. */
export function productModel([m, n, k], b) {
  const extents = (shape) => shape.map((extent) => message(1, number(1, extent)));
  const value = (field, name, shape) =>
    message(field, text(1, name), message(2, message(1, number(1, 1), message(2, ...extents(shape)))));
  const node = message(1, text(1, "a"), text(1, "b"), text(2, "c"), text(4, "MatMul"));
  const raw = new Uint8Array(b.buffer);
  const weight = message(5, number(1, k), number(1, n), number(2, 1), text(8, "b"), joined(bytes(9, raw)));
  const graph = message(7, node, text(2, "product"), weight, value(11, "a", [m, k]), value(12, "c", [m, n]));
  return joined([number(1, 8), graph, message(8, number(2, 13))]);
}
