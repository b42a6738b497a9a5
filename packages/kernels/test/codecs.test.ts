// Weights in a codec through the contract: what their products are, and what is refused.

import { describe, expect, it } from "vitest";

import { isCodec, openBackend } from "../src/index.ts";
import type { Codec, KernelBackend, Slot } from "../src/index.ts";

const k = openBackend({ device: "cpu", threads: 2 });

/** Spread over (−1, 1). */
function floats(rows: number, columns: number): Slot {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * i + rows));
  return k.upload("f32", [rows, columns], new Uint8Array(values.buffer));
}

/** 257 rows of 288 numbers, which fit neither a tile nor whole blocks of 64 a row. */
const [rows, columns] = [257, 288];
const weights: [codec: Codec, slot: Slot][] = [
  ["eetq", k.cast(floats(rows, columns), "eetq")],
  ["nf4/64/double", k.cast(floats(rows, columns), "nf4/64/double")],
  ["fp4/128", k.cast(floats(rows, columns), "fp4/128")],
  [
    "q4_0",
    k.upload(
      "q4_0",
      [rows, columns],
      Uint8Array.from({ length: rows * 9 * 18 }, (_, i) => (i % 18 < 2 ? 33 : i % 251)),
    ),
  ],
];

const bits = async (backend: KernelBackend, slot: Slot): Promise<Buffer> => Buffer.from(await backend.read(slot));

it("a linear layer in llm_int8 takes the nearest codes of its activations, and floats for outliers", async () => {
  const weight = k.cast(floats(rows, columns), "llm_int8/0.99");
  const expanded = k.cast(weight, "f32");
  const x = floats(9, columns);
  const numbers = async (y: Slot): Promise<Float32Array> => new Float32Array((await k.read(y)).buffer);
  const plain = await numbers(k.matmul("nt", x, expanded, 1));
  const whole = await numbers(k.matmul("nt", x, weight, 1));
  const worst = whole.reduce((most, y, i) => Math.max(most, Math.abs(y - (plain[i] ?? 0))), 0);
  // Each of the 288 products is off by at most 1/254 of the largest below 0.99 and 2⁻¹² of f16.
  expect(worst).toBeGreaterThan(0);
  expect(worst).toBeLessThan(columns * (0.99 / 254 + 2 ** -12));
});

describe.each(weights)("a weight in %s", (codec, weight) => {
  const expanded = k.cast(weight, "f32");

  it("is a slot with that tag", () => {
    expect([k.dtype(weight), isCodec(k.dtype(weight)), k.shape(weight)]).toEqual([codec, true, [rows, columns]]);
    expect(isCodec(k.dtype(expanded))).toBe(false);
  });

  it.each([1, 8, 9, 64])("gives %i rows the bits of a product with its expansion", async (m) => {
    const x = floats(m, columns);
    expect(await bits(k, k.matmul("nt", x, weight, 1))).toEqual(await bits(k, k.matmul("nt", x, expanded, 1)));
  });

  it("gives gradients the bits of a product with its expansion", async () => {
    const g = floats(64, rows);
    expect(await bits(k, k.matmul("nn", g, weight, 1))).toEqual(await bits(k, k.matmul("nn", g, expanded, 1)));
  });

  it("cannot be on the left, reshaped, filled, added to or moved by an optimizer", () => {
    const one = (): Slot => k.alloc("f32", [1]);
    const grad = floats(rows, columns);
    expect(() => k.matmul("nn", weight, floats(columns, 2), 1)).toThrow(/matmul: needs float tensors, got/);
    expect(() => k.reshape(weight, [rows * columns])).toThrow(/keeps its shape/);
    expect(() => k.fill(weight, 0)).toThrow(/cannot be written/);
    expect(() => k.accumulate(weight, grad, 1)).toThrow(codec);
    const sgd = { lr: 1, momentum: 0, nesterov: false, weightDecay: 0 };
    expect(() => k.sgd([weight], [grad], [], one(), one(), one(), sgd)).toThrow(codec);
  });
});

it("GGUF blocks are never made, and rows must be whole blocks", () => {
  expect(() => k.cast(floats(2, 32), "q8_0")).toThrow("q8_0 is only read, never made");
  expect(() => k.upload("q8_0", [1, 31], new Uint8Array(34))).toThrow(/does not fill whole blocks of q8_0/);
  expect(() => k.upload("nf4/64", [2, 33], new Uint8Array(1))).toThrow(/needs 41 bytes, got 1/);
  expect(() => k.cast(floats(1, 64), "nf4/48" as Codec)).toThrow(/there is no dtype "nf4\/48"/);
});
