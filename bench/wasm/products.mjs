// Matrix products of the WebAssembly kernels and of onnxruntime-web in turn, on one thread each: in Node or in a page. The
// weight lies in both before; the other side comes from JavaScript's memory and the result goes there, as onnxruntime-web
// has it.
import { summary } from "../lib/statistics.mjs";
import { productModel } from "./product-model.mjs";

/** m × k × n: projections of a model of 135M at 512 rows, and a square. */
const shapes = [
  [512, 576, 576],
  [512, 576, 1536],
  [1024, 1024, 1024],
];
/** Of so many repetitions the fastest counts, on both sides. */
export const tries = 5;

const matrix = (length, seed) => Float32Array.from({ length }, (_, i) => Math.sin(i * seed));

async function seconds(run) {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}

async function fastest(run) {
  let least = Infinity;
  for (let i = 0; i < tries; i++) least = Math.min(least, await seconds(run));
  return least;
}

/** Both sides of one product, and how far apart their results are. */
async function sides({ ort, k }, [m, depth, n]) {
  const [a, b] = [matrix(m * depth, 0.37), matrix(depth * n, 0.73)];
  const session = await ort.InferenceSession.create(productModel([m, n, depth], b), { executionProviders: ["wasm"] });
  const inputs = { a: new ort.Tensor("float32", a, [m, depth]) };
  const right = k.upload("f32", [depth, n], new Uint8Array(b.buffer));
  const theirs = async () => (await session.run(inputs)).c.data;
  const ours = async () => {
    const left = k.upload("f32", [m, depth], new Uint8Array(a.buffer));
    const c = k.matmul("nn", left, right, 1);
    const bytes = await k.read(c);
    for (const slot of [left, c]) k.free(slot);
    return new Float32Array(bytes.buffer);
  };
  const [x, y] = [await ours(), await theirs()];
  const apart = x.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i])), 0);
  if (!(apart < 1e-3)) throw new Error(`wasm: the two products of ${m}×${depth}×${n} are ${apart} apart`);
  return { ours, theirs };
}

/** Rounds of both sides through all shapes, in GFLOP/s: what slows a machine for a second or two meets all of them. The
 * first round warms up and does not count. */
export async function products({ ort, k, rounds }) {
  const measured = [];
  for (const shape of shapes) measured.push({ shape, sides: await sides({ ort, k }, shape), found: [] });
  for (let round = 0; round <= rounds; round++) {
    for (const { shape, sides, found } of measured) {
      const rate = (time) => (2 * shape.reduce((product, extent) => product * extent, 1)) / time / 1e9;
      const rates = { ours: rate(await fastest(sides.ours)), onnxruntime: rate(await fastest(sides.theirs)) };
      if (round > 0) found.push(rates);
    }
  }
  return measured.map(({ shape, found }) => ({
    shape,
    ours: summary(found.map((x) => x.ours)),
    onnxruntime: summary(found.map((x) => x.onnxruntime)),
    ratio: summary(found.map((x) => x.ours / x.onnxruntime)),
  }));
}
