import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { openBackend } from "../src/index.ts";
import type { DType, KernelBackend, Slot } from "../src/index.ts";
import { adafactorOptions, adamwOptions, coded, lionOptions } from "./calls.ts";
import { devices, get, put } from "./support.ts";

type Steps = Record<"f32" | "f64", number[][]>;
const fixture = new URL("../../../fixtures/optimizers/torch-steps.json", import.meta.url);
const torch = JSON.parse(readFileSync(fixture, "utf8")) as Record<string, Steps>;

const grid = (value: (i: number, j: number) => number): number[] =>
  Array.from({ length: 24 }, (_, at) => value(Math.floor(at / 6), at % 6));
const start = grid((i, j) => 0.1 * (((7 * i + 3 * j) % 11) - 5));
const gradient = (t: number): number[] => grid((i, j) => 0.01 * (((5 * i + 11 * j + 13 * t) % 17) - 8));

const bitsandbytes = JSON.parse(
  readFileSync(new URL("../../../fixtures/optimizers/bitsandbytes-steps.json", import.meta.url), "utf8"),
) as { lion: number[][]; adamw8bit: Record<"p" | "m" | "v" | "mScales" | "vScales", string> };

const SGD = {
  sgd: { lr: 0.1, momentum: 0, nesterov: false, weightDecay: 0.01 },
  "sgd-momentum": { lr: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0.01 },
  "sgd-nesterov": { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01 },
} as const;

/** Parameters after each of three steps; gradients come four times too large with a scale of ¼. */
async function run(k: KernelBackend, name: string, dtype: DType): Promise<number[][]> {
  const p = put(k, start, [4, 6], dtype);
  const [m, v] = [k.alloc(dtype, [4, 6]), k.alloc(dtype, [4, 6])];
  const [rows, columns] = [k.alloc(dtype, [4]), k.alloc(dtype, [6])];
  const [none, moment] = [k.alloc(dtype, [0]), k.alloc(dtype, [24])];
  const [step, scale, skip] = [put(k, [0], [1]), put(k, [0.25], [1]), put(k, [0], [1])];
  const steps: number[][] = [];
  for (let t = 0; t < 3; t++) {
    const g = put(
      k,
      gradient(t).map((x) => 4 * x),
      [4, 6],
      dtype,
    );
    if (name === "lion") k.lion([p], [g], [m], step, scale, skip, lionOptions);
    else if (name === "adafactor") k.adafactor([p], [g], [rows], [columns], step, scale, skip, adafactorOptions);
    else if (name === "adafactor-vector") {
      const [whole, gradients] = [k.reshape(p, [24]), k.reshape(g, [24])];
      k.adafactor([whole], [gradients], [none], [moment], step, scale, skip, adafactorOptions);
    } else if (name === "adamw") k.adamw([p], [g], [m], [v], step, scale, skip, adamwOptions);
    else {
      const options = SGD[name as keyof typeof SGD];
      k.sgd([p], [g], options.momentum === 0 ? [] : [m], step, scale, skip, options);
    }
    steps.push(await get(k, p));
    expect(await get(k, step)).toEqual([t + 1]);
  }
  return steps;
}

function worst(ours: number[][], theirs: number[][]): number {
  return Math.max(...ours.flat().map((x, i) => Math.abs(x - (theirs.flat()[i] as number))));
}

const runs = ["adamw", "adafactor", "adafactor-vector", ...Object.keys(SGD)];

describe.each(runs)("three steps of %s", (name) => {
  it("equal torch's in f64 to 1e-15", async () => {
    const k = openBackend({ device: "reference" });
    expect(worst(await run(k, name, "f64"), (torch[name] as Steps).f64)).toBeLessThan(1e-15);
  });

  it.each(devices)("equal torch's in f32 within 2 ulp on %s", async (device) => {
    const k = openBackend({ device, threads: 1 });
    expect(worst(await run(k, name, "f32"), (torch[name] as Steps).f32)).toBeLessThanOrEqual(2 * 2 ** -25);
  });
});

/** hash(i)/2³² − ½: the numbers of make_bitsandbytes_steps.py. */
const uniform = (i: number): number => Number((2654435761n * BigInt(i)) % 2n ** 32n) / 2 ** 32 - 0.5;
const powers = [1, 0.1, 0.01, 0.001, 0.0001];

describe.each(devices)("bitsandbytes' steps on %s", (device) => {
  const k = openBackend({ device, threads: 1 });

  it("of Lion are ours within 2 ulp", async () => {
    expect(worst(await run(k, "lion", "f32"), bitsandbytes.lion)).toBeLessThanOrEqual(2 * 2 ** -25);
  });

  it("of AdamW in 8 bits leave the same codes, all of them, and the same scales within an ulp", async () => {
    const size = 17 * 257;
    const [m, v] = [coded(k, size), coded(k, size)];
    const vector = (value: (i: number) => number): Slot =>
      put(
        k,
        Array.from({ length: size }, (_, i) => value(i)),
        [size],
      );
    const p = vector(uniform);
    const [step, scale, skip] = [put(k, [0], [1]), put(k, [1], [1]), put(k, [0], [1])];
    for (let t = 1; t <= 3; t++) {
      const g = vector((i) => uniform(i + size * t) * (powers[i % 5] as number));
      k.adamw8bit([p], [g], m, v, step, scale, skip, adamwOptions);
    }
    const { adamw8bit } = bitsandbytes;
    const bytes = async (slot: Slot | undefined): Promise<Buffer> => Buffer.from(await k.read(slot as Slot));
    const floats = (buffer: Buffer): number[] => [...new Float32Array(new Uint8Array(buffer).buffer)];
    const theirs = (name: keyof typeof adamw8bit): Buffer => Buffer.from(adamw8bit[name], "base64");
    expect(new Set(theirs("m")).size).toBeGreaterThan(150);
    expect(new Set(theirs("v")).size).toBeGreaterThan(100);
    expect((await bytes(m.codes[0])).equals(theirs("m")), "codes of m").toBe(true);
    expect((await bytes(v.codes[0])).equals(theirs("v")), "codes of v").toBe(true);
    for (const [moments, name] of [
      [m, "mScales"],
      [v, "vScales"],
    ] as const) {
      const [ours, wanted] = [floats(await bytes(moments.scales[0])), floats(theirs(name))];
      for (const [i, x] of wanted.entries())
        expect(Math.abs((ours[i] as number) - x), `${name} ${i}`).toBeLessThanOrEqual(2 ** -23 * x);
    }
    expect(worst([floats(await bytes(p))], [floats(theirs("p"))])).toBeLessThanOrEqual(2 ** -23);
  });
});

describe.each(devices)("steering on %s", (device) => {
  const k = openBackend({ device, threads: 1 });

  it("changes nothing and counts nothing where skip is set", async () => {
    const tensors = [start, gradient(0), gradient(1), gradient(2).map(Math.abs)].map((x) => put(k, x, [4, 6]));
    const [p, g, m, v] = tensors as [never, never, never, never];
    const [step, scale, skip] = [put(k, [6], [1]), put(k, [1], [1]), put(k, [1], [1])];
    const before = await Promise.all(tensors.map((x) => get(k, x)));
    k.adamw([p], [g], [m], [v], step, scale, skip, adamwOptions);
    k.sgd([p], [g], [m], step, scale, skip, SGD["sgd-momentum"]);
    k.lion([p], [g], [m], step, scale, skip, lionOptions);
    k.adafactor(
      [p],
      [g],
      [put(k, [1, 1, 1, 1], [4])],
      [put(k, [1, 1, 1, 1, 1, 1], [6])],
      step,
      scale,
      skip,
      adafactorOptions,
    );
    expect(await Promise.all(tensors.map((x) => get(k, x)))).toEqual(before);
    expect(await get(k, step)).toEqual([6]);
  });

  it("takes the norm over all tensors and clips as torch does: maxNorm / (norm + 1e-6), at most 1", async () => {
    const norm = k.gradNorm([put(k, [3, 0, 0], [3]), k.alloc("f32", [0, 4]), put(k, [0, 4], [2])]);
    expect(await get(k, norm)).toEqual([5]);
    const clip = async (value: number, max: number): Promise<number[]> => {
      const [scale, skip] = k.clipFactor(put(k, [value], [1]), max);
      return [...(await get(k, scale)), ...(await get(k, skip))];
    };
    expect(await clip(5, 1)).toEqual([Math.fround(1 / Math.fround(5 + 1e-6)), 0]);
    expect(await clip(0.5, 1)).toEqual([1, 0]);
    expect(await clip(5, 0)).toEqual([1, 0]);
    expect((await clip(Number.NaN, 1))[1]).toBe(1);
    expect((await clip(Infinity, 1))[1]).toBe(1);
    const huge = k.gradNorm([put(k, [3e38, 3e38], [2])]);
    expect(await get(k, huge)).toEqual([Infinity]);
  });
});
