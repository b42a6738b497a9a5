// Matrix products of the WebAssembly kernels and of onnxruntime-web in turn, in one process on one thread each. The weight
// lies in both before; the other side comes from JavaScript's memory and the result goes there, as onnxruntime-web has it.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { openBackend } from "@welltempered/kernels";
import { figure } from "../lib/report.mjs";
import { summary } from "../lib/statistics.mjs";
import { onnxruntime, productModel } from "./onnx.mjs";

/** m × k × n: projections of a model of 135M at 512 rows, and a square. */
const shapes = [
  [512, 576, 576],
  [512, 576, 1536],
  [1024, 1024, 1024],
];
const floors = { ratio: 1.3, gzip: 600_000 };
/** Of so many repetitions the fastest counts, on both sides. */
const tries = 5;

const module = new URL("../../packages/kernels/wasm/kernels_wasm_bg.wasm", import.meta.url);
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

export async function run({ rounds = "7" } = {}) {
  const { ort, version } = await onnxruntime();
  const k = openBackend({ device: "wasm" });
  const products = [];
  for (const shape of shapes) {
    const { ours, theirs } = await sides({ ort, k }, shape);
    const rate = (time) => (2 * shape.reduce((product, extent) => product * extent, 1)) / time / 1e9;
    const found = [];
    for (let round = 0; round < Number(rounds); round++) {
      found.push({ ours: rate(await fastest(ours)), onnxruntime: rate(await fastest(theirs)) });
    }
    products.push({
      shape,
      ours: summary(found.map((x) => x.ours)),
      onnxruntime: summary(found.map((x) => x.onnxruntime)),
      ratio: summary(found.map((x) => x.ours / x.onnxruntime)),
    });
  }
  const bytes = readFileSync(module);
  const size = { bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
  return {
    settings: { rounds: Number(rounds), tries, threads: 1 },
    versions: { node: process.versions.node, v8: process.versions.v8, onnxruntimeWeb: version },
    description: k.description,
    products,
    size,
    table: [
      ["wasm", `${size.bytes} bytes, ${size.gzip} with gzip`],
      ["GFLOP/s", "ours | onnxruntime-web | ratio"],
      ...products.map(({ shape, ours, onnxruntime, ratio }) => [
        shape.join("×"),
        `${figure(ours, 1)} | ${figure(onnxruntime, 1)} | ${figure(ratio, 2)}`,
      ]),
    ],
    goals: [
      ...products.map(({ shape, ratio }) => ({
        what: `${shape.join("×")}: at least ${floors.ratio} × onnxruntime-web; ${ratio.median.toFixed(2)}`,
        reached: ratio.median >= floors.ratio,
      })),
      { what: `at most ${floors.gzip} bytes with gzip; ${size.gzip}`, reached: size.gzip <= floors.gzip },
    ],
  };
}
