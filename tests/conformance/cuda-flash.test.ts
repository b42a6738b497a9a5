// Attention on tensor cores against the naive loops in f64: products of bf16 or f16, so within a few of its roundings, and
// not the numbers of the plain kernel.

import { describeBackends, openBackend } from "@welltempered/kernels";
import type { BackendOptions, KernelBackend, Slot } from "@welltempered/kernels";
import { describe, expect, it } from "vitest";

import { randomNumbers } from "./cases.ts";
import "./emulator.ts";

/** 2⁻⁸ is the spacing of bf16 below 1, 2⁻¹¹ that of f16; errors of tiles add up. */
const bounds = { bf16: 2 ** -6, f16: 2 ** -9 };
const halves = ["bf16", "f16"] as const;
const cuda = describeBackends().backends.find(({ name }) => name === "cuda");

interface Shape {
  headDim: number;
  heads: number;
  keyHeads: number;
  layout: number[];
  rows: number;
  window: number;
  softCap: number;
}

const packed = [0, 70, 1, 0, 70, 70, 3, 1, 70, 3];
/** Two rows behind a shared beginning of 40. */
const prefix = [0, 40, 1, 0, 40, 40, 33, 2, 0, 40, 40, 33, 73, 5, 2, 0, 40, 73, 5];
const shapes: Shape[] = [
  { headDim: 64, heads: 3, keyHeads: 1, layout: packed, rows: 75, window: 0, softCap: 0 },
  { headDim: 64, heads: 2, keyHeads: 2, layout: prefix, rows: 78, window: 7, softCap: 3 },
  { headDim: 96, heads: 2, keyHeads: 1, layout: prefix, rows: 78, window: 0, softCap: 0 },
  { headDim: 128, heads: 2, keyHeads: 1, layout: prefix, rows: 78, window: 45, softCap: 0 },
  { headDim: 256, heads: 2, keyHeads: 1, layout: packed, rows: 73, window: 0, softCap: 2 },
];

async function gradients(k: KernelBackend, dtype: "f32" | "f64", shape: Shape): Promise<Float64Array[]> {
  const next = randomNumbers(7);
  const floats = (columns: number): Slot => {
    const values = Float32Array.from({ length: shape.rows * columns }, () => 2 * next() - 1);
    const x = k.upload("f32", [shape.rows, columns], new Uint8Array(values.buffer));
    return dtype === "f32" ? x : k.cast(x, dtype);
  };
  const [wide, narrow] = [shape.heads * shape.headDim, shape.keyHeads * shape.headDim];
  const [g, q, key, value] = [floats(wide), floats(wide), floats(narrow), floats(narrow)];
  const numbers = Int32Array.from(shape.layout);
  const layout = k.upload("i32", [numbers.length], new Uint8Array(numbers.buffer));
  const options = { ...shape, scale: shape.headDim ** -0.5 };
  const [o, lse] = k.attention(q, key, value, layout, options);
  const outputs = [o, lse, ...k.attentionBackward(g, q, key, value, o, lse, layout, options)];
  const read = async (x: Slot): Promise<Float64Array> => new Float64Array((await k.read(k.cast(x, "f64"))).buffer);
  return await Promise.all(outputs.map(read));
}

function distance(a: Float64Array, b: Float64Array): number {
  const largest = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return a.reduce((most, x, i) => (Number.isNaN(x) ? x : Math.max(most, Math.abs(x - (b[i] as number)))), 0) / largest;
}

describe.runIf(cuda?.available).each(halves)("attention on tensor cores in %s", (half) => {
  it.each(shapes)("of $headDim in $heads/$keyHeads heads, window $window, cap $softCap", async (shape) => {
    const truth = await gradients(openBackend({ device: "reference" }), "f64", shape);
    const ours = await gradients(openBackend({ device: "cuda", matmulPrecision: half }), "f32", shape);
    const plain = await gradients(openBackend({ device: "cuda" }), "f32", shape);
    for (const [i, expected] of truth.entries()) {
      expect(distance(plain[i] as Float64Array, expected), `plain output ${i}`).toBeLessThan(1e-5);
      expect(distance(ours[i] as Float64Array, expected), `output ${i}`).toBeLessThan(bounds[half]);
      expect(distance(ours[i] as Float64Array, expected), `output ${i} is of ${half}`).toBeGreaterThan(1e-5);
    }
  });
});

describe.runIf(cuda?.available).each(halves)("a product of %s", (half) => {
  it("is rounded where it is large, by a weight in codes too, and in f32 where it is small", async () => {
    const product = async (k: KernelBackend, n: number, codec?: "nf4/64"): Promise<Float64Array> => {
      const next = randomNumbers(n);
      const matrix = (): Slot =>
        k.upload("f32", [n, n], new Uint8Array(Float32Array.from({ length: n * n }, () => 2 * next() - 1).buffer));
      const [a, b] = [matrix(), matrix()];
      const c = k.matmul("nt", a, codec === undefined ? b : k.cast(b, codec), 1);
      return new Float64Array((await k.read(k.cast(c, "f64"))).buffer);
    };
    const [narrow, exact] = [openBackend({ device: "cuda", matmulPrecision: half }), openBackend({ device: "cuda" })];
    for (const codec of [undefined, "nf4/64"] as const) {
      const apart = distance(await product(narrow, 96, codec), await product(exact, 96, codec));
      expect(apart).toBeLessThan(bounds[half] / 2);
      expect(apart).toBeGreaterThan(1e-5);
    }
    expect(await product(narrow, 16)).toEqual(await product(exact, 16));
  });
});

describe.runIf(cuda?.available)("a product of TF32", () => {
  it("is asked for, rounds both sides to ten bits, and is f32 on the CPU", async () => {
    const product = async (options: BackendOptions): Promise<Float64Array> => {
      const k = openBackend(options);
      const next = randomNumbers(3);
      const values = Float32Array.from({ length: 64 }, () => 2 * next() - 1);
      const x = k.upload("f32", [8, 8], new Uint8Array(values.buffer));
      return new Float64Array((await k.read(k.cast(k.matmul("nt", x, x, 1), "f64"))).buffer);
    };
    const [exact, narrow] = [
      await product({ device: "cuda" }),
      await product({ device: "cuda", matmulPrecision: "tf32" }),
    ];
    expect(distance(narrow, exact)).toBeLessThan(2 ** -10);
    expect(distance(narrow, exact)).toBeGreaterThan(1e-6);
    expect(await product({ device: "cpu", matmulPrecision: "tf32" })).toEqual(await product({ device: "cpu" }));
  });
});
