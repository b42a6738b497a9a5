// Our product, one a line of standard input: {layout, m, n, k, into, weight, precision, threads, tries} → best seconds.
import { createInterface } from "node:readline";
import { openBackend } from "@welltempered/kernels";

const bytesOf = { q4_1: { block: 20, halves: [0, 2] }, q8_0: { block: 34, halves: [0] } };
const backends = new Map();
const tensors = new Map();

function remembered(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

/** Blocks of 32 codes behind a scale of 2⁻⁷ in half precision; a minimum, where there is one, is the same. */
function blocks(type, [rows, columns]) {
  const { block, halves } = bytesOf[type];
  const bytes = Uint8Array.from({ length: (rows * columns * block) / 32 }, (_, i) => (i * 7919) % 251);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += block) for (const half of halves) view.setUint16(at + half, 0x2000, true);
  return bytes;
}

/** Numbers that do not let a product degenerate, of any type. */
function tensor(backend, type, shape) {
  if (Object.hasOwn(bytesOf, type)) return backend.upload(type, shape, blocks(type, shape));
  const key = { seed: 1, stream: 1, step: 0, micro: 0, rank: 0 };
  const values = backend.uniform(shape, -1, 1, key);
  if (type === "f32") return values;
  const cast = backend.cast(values, type);
  backend.free(values);
  return cast;
}

function measure({ layout, m, n, k, into, weight, precision, threads, tries }) {
  const place = `${precision} ${threads}`;
  const backend = remembered(backends, place, () =>
    openBackend({ device: "cpu", threads, matmulPrecision: precision }),
  );
  const held = (type, shape) => remembered(tensors, `${place} ${type} ${shape}`, () => tensor(backend, type, shape));
  const a = held("f32", layout === "tn" ? [k, m] : [m, k]);
  const b = held(weight, layout === "nt" ? [n, k] : [k, n]);
  const c = into ? held("f32", [m, n]) : undefined;
  let best = Infinity;
  for (let i = 0; i < tries; i++) {
    const start = performance.now();
    const y = backend.matmul(layout, a, b, 0.5, c);
    best = Math.min(best, performance.now() - start);
    if (!into) backend.free(y);
  }
  return best / 1000;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(measure(JSON.parse(line)))}\n`);
}
