import { Engine, type Tensor } from "@welltempered/tensor";
import { afterAll, expect, it } from "vitest";
import { CausalLM, Linear, packRows, Parameter, type PackedRows } from "../src/index.ts";

const width = 64;
const engine = Engine.open({ threads: 2 });
afterAll(() => expect(engine.liveTensors()).toBe(1));

/** Embeds everything as one row of ones and hands on what it was given. */
class Echo extends CausalLM {
  readonly cacheShape = { layers: 0, width: 0 };
  lm_head = new Linear(new Parameter(engine.zeros([1, width])));
  embed(tokens: Int32Array): Tensor {
    const rows = engine.zeros([tokens.length, width]);
    engine.backend.fill(rows.slot, 1);
    return rows;
  }
  decode(embedded: Tensor): Tensor {
    return embedded;
  }
}
const model = new Echo();
const rows = packRows([new Int32Array(50), new Int32Array(30)]);

async function noise(alpha: number, given: PackedRows = rows, { training = true, step = 0, micro = 0 } = {}) {
  Object.assign(engine.rng, { seed: 3, step, micro });
  model.setTraining(training);
  model.neftuneAlpha = alpha;
  const values = await engine.scopeAsync(() => model.forward(given).read());
  return Float64Array.from(values, (value) => value - 1);
}

it("is uniform in ±α/√(L·D) for the longest row's L, or the padded length given", async () => {
  for (const [given, length] of [
    [rows, 50],
    [{ ...rows, paddedLength: 200 }, 200],
  ] as const) {
    const bound = 5 / Math.sqrt(length * width);
    const values = (await noise(5, given)).sort();
    expect(Math.max(-(values[0] ?? 0), values.at(-1) ?? 0)).toBeLessThanOrEqual(bound + 1e-7);
    // Kolmogorov–Smirnov: above 1.95/√n once in a thousand seeds.
    const distances = [...values].map((value, index) => Math.abs((value / bound + 1) / 2 - index / values.length));
    expect(Math.max(...distances)).toBeLessThan(1.95 / Math.sqrt(values.length));
  }
});

it("is off outside training, and without α", async () => {
  for (const [alpha, training] of [
    [5, false],
    [0, true],
  ] as const)
    expect((await noise(alpha, rows, { training })).every((value) => value === 0)).toBe(true);
});

it("depends on step and micro-step, and on nothing else", async () => {
  const first = await noise(5);
  expect(await noise(5)).toEqual(first);
  for (const key of [{ step: 1 }, { micro: 1 }]) {
    const other = await noise(5, rows, key);
    const correlation = first.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0) / first.length;
    expect(Math.abs(correlation)).toBeLessThan((4 * (25 / (50 * width) / 3)) / Math.sqrt(first.length));
  }
});
