import { openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { CodedMoments, KernelBackend, RngKey, Slot } from "../src/index.ts";
import { put } from "./support.ts";

export type Method = Exclude<keyof KernelBackend, "name" | "description">;

export const key: RngKey = { seed: 2 ** 40 + 3, stream: 17, step: 5, micro: 1, rank: 2 };
const attentionOptions = { headDim: 4, scale: 0.5, window: 2, softCap: 3 };
export const adamwOptions = { lr: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
export const lionOptions = { lr: 0.01, beta1: 0.9, beta2: 0.99, weightDecay: 0.1 };
export const adafactorOptions = { lr: 0.01, weightDecay: 0.1, epsilon: 1e-30, clip: 1, decayRate: -0.8 };
export const sgdOptions = { lr: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0.01 };

const floats = (k: KernelBackend, ...shape: number[]): Slot => {
  const length = shape.reduce((product, axis) => product * axis, 1);
  return put(
    k,
    Array.from({ length }, (_, i) => Math.sin(i + 1)),
    shape,
  );
};
const ints = (k: KernelBackend, ...values: number[]): Slot => put(k, values, [values.length], "i32");
const head = (k: KernelBackend): [h: Slot, w: Slot, labels: Slot, softCap: number] => [
  floats(k, 3, 4),
  floats(k, 5, 4),
  ints(k, 0, -100, 4),
  2,
];
const steering = (k: KernelBackend): [step: Slot, scale: Slot, skip: Slot] => [
  put(k, [0], [1]),
  put(k, [1], [1]),
  put(k, [0], [1]),
];

/** Moments of zeros for a vector. */
export const coded = (k: KernelBackend, length: number): CodedMoments => ({
  codes: [k.alloc("u8", [length])],
  scales: [k.alloc("f32", [Math.ceil(length / 256)])],
});

/** This file, opened once. */
const openFile = (
  (fd?: number) => () =>
    (fd ??= openSync(fileURLToPath(import.meta.url), "r"))
)();

/** One valid list of arguments for every method of the contract. */
export const validCalls: { [M in Method]: (k: KernelBackend) => Parameters<KernelBackend[M]> } = {
  alloc: () => ["f32", [2, 3]],
  upload: () => ["f32", [2], new Uint8Array(8)],
  uploadFrom: () => ["f32", [2], { fd: openFile(), offset: 3, length: 8 }],
  write: (k) => [floats(k, 2), new Uint8Array(8)],
  read: (k) => [floats(k, 2)],
  free: (k) => [floats(k, 2)],
  dtype: (k) => [floats(k, 2)],
  shape: (k) => [floats(k, 2)],
  reshape: (k) => [floats(k, 2, 3), [6]],
  copy: (k) => [floats(k, 2)],
  cast: (k) => [floats(k, 2), "bf16"],
  liveTensors: () => [],
  liveBytes: () => [],
  availableBytes: () => [],
  fill: (k) => [floats(k, 2), 1],
  binary: (k) => ["add", floats(k, 2, 3), floats(k, 3)],
  unary: (k) => ["exp", floats(k, 2)],
  scale: (k) => [floats(k, 2), 2],
  scaleBy: (k) => [floats(k, 2), floats(k, 1)],
  softCap: (k) => [floats(k, 2, 3), 5],
  accumulate: (k) => [floats(k, 2), floats(k, 2), 0.5],
  sum: (k) => [floats(k, 2)],
  sumRows: (k) => [floats(k, 2, 3)],
  argmax: (k) => [floats(k, 2, 3)],
  takeRows: (k) => [floats(k, 4, 3), ints(k, 3, 0, 3)],
  scatterAddRows: (k) => [floats(k, 3, 2), ints(k, 1, 0, 1), 4],
  writeRows: (k) => [floats(k, 4, 2), ints(k, 3, 0), floats(k, 2, 2)],
  splitColumns: (k) => [floats(k, 2, 5), [2, 3]],
  joinColumns: (k) => [[floats(k, 2, 2), floats(k, 2, 3)]],
  matmul: (k) => ["nn", floats(k, 2, 3), floats(k, 3, 4), 1, floats(k, 2, 4)],
  matmulLowRank: (k) => [
    "nt",
    floats(k, 2, 3),
    floats(k, 4, 3),
    floats(k, 2, 1),
    floats(k, 4, 1),
    0.5,
    floats(k, 2, 4),
  ],
  rmsNorm: (k) => [floats(k, 2, 3), floats(k, 3), 1e-5],
  rmsNormBackward: (k) => [floats(k, 2, 3), floats(k, 2, 3), floats(k, 3), floats(k, 2), true],
  addRmsNorm: (k) => [floats(k, 2, 3), floats(k, 2, 3), floats(k, 3), 1e-5],
  addRmsNormBackward: (k) => [floats(k, 2, 3), floats(k, 2, 3), floats(k, 2, 3), floats(k, 3), floats(k, 2), true],
  ropeTable: (k) => [ints(k, 0, 1, 7), Float64Array.of(1, 0.1), 1],
  rope: (k) => [floats(k, 3, 8), floats(k, 3, 2), floats(k, 3, 2), 4, false],
  attention: (k) => [floats(k, 3, 8), floats(k, 3, 4), floats(k, 3, 4), ints(k, 0, 3, 1, 0, 3), attentionOptions],
  attentionBackward: (k) => [
    floats(k, 3, 8),
    floats(k, 3, 8),
    floats(k, 3, 4),
    floats(k, 3, 4),
    floats(k, 3, 8),
    floats(k, 3, 2),
    ints(k, 0, 3, 1, 0, 3),
    attentionOptions,
  ],
  swiglu: (k) => [floats(k, 2, 3), floats(k, 2, 3)],
  swigluBackward: (k) => [floats(k, 2, 3), floats(k, 2, 3), floats(k, 2, 3)],
  activate: (k) => ["tanh", floats(k, 2, 3)],
  activateBackward: (k) => ["relu", floats(k, 2, 3), floats(k, 2, 3)],
  skewBlocks: (k) => [floats(k, 2, 3), 3],
  skewBlocksBackward: (k) => [floats(k, 3, 6), true],
  cayleyBlocks: (k) => [k.skewBlocks(floats(k, 2, 3), 3)],
  matmulBlocks: (k) => ["nn", floats(k, 4, 6), floats(k, 3, 6), 3],
  permuteColumns: (k) => [floats(k, 2, 3), ints(k, 2, 0, 1), false],
  svd: (k) => [floats(k, 3, 4), 2, 3, key],
  geglu: (k) => [floats(k, 2, 3), floats(k, 2, 3)],
  gegluBackward: (k) => [floats(k, 2, 3), floats(k, 2, 3), floats(k, 2, 3)],
  linearCrossEntropy: (k) => [...head(k), true, true],
  linearLogProb: (k) => head(k),
  linearLogProbBackward: (k) => [floats(k, 3), ...head(k), floats(k, 3), true, true],
  dropout: (k) => [floats(k, 2, 3), 0.5, key],
  uniform: () => [[2, 3], -1, 1, key],
  normal: () => [[2, 3], 0, 1, key],
  gradNorm: (k) => [[floats(k, 2), floats(k, 3)]],
  clipFactor: (k) => [floats(k, 1), 1],
  adamw: (k) => [[floats(k, 2)], [floats(k, 2)], [floats(k, 2)], [k.alloc("f32", [2])], ...steering(k), adamwOptions],
  sgd: (k) => [[floats(k, 2)], [floats(k, 2)], [floats(k, 2)], ...steering(k), sgdOptions],
  lion: (k) => [[floats(k, 2)], [floats(k, 2)], [floats(k, 2)], ...steering(k), lionOptions],
  adafactor: (k) => [
    [floats(k, 2, 3)],
    [floats(k, 2, 3)],
    [k.alloc("f32", [2])],
    [k.alloc("f32", [3])],
    ...steering(k),
    adafactorOptions,
  ],
  adamw8bit: (k) => [[floats(k, 300)], [floats(k, 300)], coded(k, 300), coded(k, 300), ...steering(k), adamwOptions],
};

export const methods = Object.keys(validCalls) as Method[];

/** Calls a method by name; `read` is awaited, so that all errors are rejections. */
export async function invoke(k: KernelBackend, method: Method, args: readonly unknown[]): Promise<unknown> {
  return await (k[method] as (...args: unknown[]) => unknown).call(k, ...args);
}
