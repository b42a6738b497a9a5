import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { openBackend } from "../src/index.ts";
import type { DType, KernelBackend, Slot } from "../src/index.ts";
import { adafactorOptions, adamwOptions, coded, lionOptions } from "./calls.ts";
import { devices, get, put } from "./support.ts";

type Moments = Partial<Record<"exp_avg" | "exp_avg_sq" | "momentum_buffer", number[]>>;
type Steps = Record<"f32" | "f64" | "bf16-plain" | "f32-long", number[][]> & { bf16: { steps: number[][] } & Moments };
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

/** The numbers of a tensor in bf16 or of others rounded to it. */
const rounded = async (k: KernelBackend, x: Slot): Promise<number[]> => get(k, k.cast(k.cast(x, "bf16"), "f32"));

/** Steps of parameters in bf16 with gradients of f32, and the states after them. */
async function runRounded(
  k: KernelBackend,
  name: string,
  count: number,
): Promise<{ steps: number[][]; states: Slot[] }> {
  const p = k.cast(put(k, start, [4, 6]), "bf16");
  const [m, v] = [k.alloc("bf16", [4, 6]), k.alloc("bf16", [4, 6])];
  const [step, scale, skip] = [put(k, [0], [1]), put(k, [0.25], [1]), put(k, [0], [1])];
  const steps: number[][] = [];
  for (let t = 0; t < count; t++) {
    const g = k.scale(k.cast(put(k, gradient(t), [4, 6]), "bf16"), 4);
    if (name === "lion") k.lion([p], [g], [m], step, scale, skip, lionOptions);
    else if (name === "adamw") k.adamw([p], [g], [m], [v], step, scale, skip, adamwOptions);
    else {
      const options = SGD[name as keyof typeof SGD];
      k.sgd([p], [g], options.momentum === 0 ? [] : [m], step, scale, skip, options);
    }
    steps.push(await rounded(k, p));
  }
  return { steps, states: [m, v] };
}

describe.each(devices)("parameters and states in bf16 on %s", (device) => {
  const k = openBackend({ device, threads: 1 });

  it.each(["adamw", ...Object.keys(SGD)])("take torch's fused steps of %s, bit for bit", async (name) => {
    const { bf16 } = torch[name] as Steps;
    const { steps, states } = await runRounded(k, name, 3);
    expect(steps).toEqual(bf16.steps);
    const moments = [bf16.exp_avg ?? bf16.momentum_buffer, bf16.exp_avg_sq];
    for (const [i, theirs] of moments.entries())
      if (theirs !== undefined) expect(await rounded(k, states[i] as Slot)).toEqual(theirs);
  });

  it("take a step of Lion that is the one in f32, rounded", async () => {
    const wide = put(k, await rounded(k, put(k, start, [4, 6])), [4, 6]);
    const [g, m] = [k.cast(k.cast(put(k, gradient(0), [4, 6]), "bf16"), "f32"), k.alloc("f32", [4, 6])];
    const [step, scale, skip] = [put(k, [0], [1]), put(k, [1], [1]), put(k, [0], [1])];
    k.lion([wide], [g], [m], step, scale, skip, lionOptions);
    const { steps, states } = await runRounded(k, "lion", 1);
    expect(steps[0]).toEqual(await rounded(k, wide));
    expect(await rounded(k, states[0] as Slot)).toEqual(await rounded(k, m));
  });

  it("stay nearer to AdamW in f32 over twenty steps than torch's plain steps, which round after every op", async () => {
    const { "bf16-plain": plain, "f32-long": wide } = torch["adamw"] as Steps;
    const { steps } = await runRounded(k, "adamw", 20);
    expect(worst(steps.slice(-1), wide.slice(-1))).toBeLessThan(worst(plain.slice(-1), wide.slice(-1)));
  });

  it("may be more than are widened at a time", async () => {
    const size = 600_001;
    const ones = put(k, [1], [1]);
    const p = k.cast(k.uniform([size], -1, 1, { seed: 1, stream: 1, step: 0, micro: 0, rank: 0 }), "bf16");
    const before = await rounded(k, p);
    const g = k.alloc("f32", [size]);
    k.fill(g, 1);
    k.sgd([p], [g], [], put(k, [0], [1]), ones, put(k, [0], [1]), { ...SGD.sgd, lr: 1, weightDecay: 0 });
    const expected = await rounded(
      k,
      put(
        k,
        before.map((x) => Math.fround(x - 1)),
        [size],
      ),
    );
    expect(
      Buffer.from(Float32Array.from(await rounded(k, p)).buffer).equals(
        Buffer.from(Float32Array.from(expected).buffer),
      ),
    ).toBe(true);
  });

  it("are refused where a gradient is not f32 or a state is not bf16", () => {
    const [p, g, m] = [k.alloc("bf16", [2]), k.alloc("f32", [2]), k.alloc("bf16", [2])];
    const [step, one, none] = [put(k, [0], [1]), put(k, [1], [1]), put(k, [0], [1])];
    const take = (gradients: Slot, mean: Slot) => () => k.lion([p], [gradients], [mean], step, one, none, lionOptions);
    expect(take(g, m)).not.toThrow();
    expect(take(m, k.alloc("bf16", [2]))).toThrow("a gradient of bf16 must be f32");
    expect(take(g, k.alloc("f32", [2]))).toThrow("every parameter and state must be bf16");
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
