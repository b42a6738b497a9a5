import { Engine, mean, scale, type Tensor } from "@welltempered/tensor";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  bradleyTerryLoss,
  oddsRatioLoss,
  preferenceLosses,
  type LogRatios,
  type PreferenceName,
} from "../src/index.ts";

interface Golden {
  dpo: { losses: Record<string, number>; "metrics(last)": Record<string, number> };
  [block: string]: unknown;
}

// TRL 1.13.0 itself; inputs by formula, tolerance 2e-7 + 1e-6 relative (ipo 2e-6).
const golden = JSON.parse(
  readFileSync(new URL("../../../fixtures/golden/trl_losses.json", import.meta.url), "utf8"),
) as Golden;
const blockOf = (start: string): Record<string, number[]> =>
  Object.entries(golden).find(([name]) => name.startsWith(start))?.[1] as Record<string, number[]>;

const engine = Engine.open({ device: "reference", threads: 1 });
const tensor = (values: readonly number[]): Tensor => engine.tensor(Float64Array.from(values));
const settings = { beta: 0.1, labelSmoothing: 0, simpoGamma: 0.5 };

const numbersOf = async (make: () => Tensor): Promise<number[]> =>
  engine.scopeAsync(async () => [...(await make().read())]);

const lossOf = (name: PreferenceName, chosen: readonly number[], rejected: readonly number[], more = {}) =>
  numbersOf(() =>
    preferenceLosses[name].loss({ chosen: tensor(chosen), rejected: tensor(rejected) }, { ...settings, ...more }),
  );

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function expectClose(found: readonly number[], wanted: readonly number[], absolute = 2e-7, relative = 1e-6): void {
  expect(found.length).toBe(wanted.length);
  for (const [index, value] of wanted.entries())
    expect(Math.abs(found[index]! - value)).toBeLessThanOrEqual(absolute + relative * Math.abs(value));
}

// ── 2 pairs, chosen rows first: ids (3b + 2t + 1) mod 5, logits 2·sin(0.7b + 1.3t + 2.1v), summed reference log-probs given ──
const completionMask = [
  [0, 0, 1, 1, 1, 1],
  [0, 0, 1, 1, 1, 0],
  [0, 0, 1, 1, 0, 0],
  [0, 0, 1, 1, 1, 1],
];
const lengths = completionMask.map((mask) => mask.reduce((sum, bit) => sum + bit, 0));
const logps = completionMask.map((mask, b) =>
  mask.reduce((sum, bit, t) => {
    if (bit === 0 || t === 0) return sum;
    const logits = [0, 1, 2, 3, 4].map((v) => 2 * Math.sin(0.7 * b + 1.3 * (t - 1) + 2.1 * v));
    const label = (3 * b + 2 * t + 1) % 5;
    return sum + logits[label]! - Math.log(logits.reduce((total, x) => total + Math.exp(x), 0));
  }, 0),
);
const ratios = [-6, -5.5, -4, -7.25].map((reference, row) => logps[row]! - reference);

describe("losses equal TRL's", () => {
  it.each(["sigmoid", "hinge"] as const)("%s", async (name) => {
    const found = await lossOf(name, ratios.slice(0, 2), ratios.slice(2));
    expectClose([meanOf(found)], [golden.dpo.losses[name]!]);
  });

  it("that of a reward model is its sigmoid, of scores in place of β·log-ratios", async () => {
    const scores = ratios.map((ratio) => settings.beta * ratio);
    const pair = () => ({ chosen: tensor(scores.slice(0, 2)), rejected: tensor(scores.slice(2)) });
    expectClose([meanOf(await numbersOf(() => bradleyTerryLoss(pair())))], [golden.dpo.losses["sigmoid"]!]);
  });

  it("ipo, of token means", async () => {
    const means = ratios.map((ratio, row) => ratio / lengths[row]!);
    expectClose([meanOf(await lossOf("ipo", means.slice(0, 2), means.slice(2)))], [golden.dpo.losses["ipo"]!], 2e-6);
  });

  const [chosen, rejected] = [
    [-1.2, -0.8],
    [-1.5, -0.7],
  ];
  it.each([
    ["sigmoid", "sigmoid,alpha=0.0,ls=0.0", {}],
    ["sigmoid", "sigmoid,alpha=0.0,ls=0.1", { labelSmoothing: 0.1 }],
    ["hinge", "hinge,alpha=0.0,ls=0.0", {}],
    ["ipo", "ipo,alpha=0.0,ls=0.0", {}],
    ["simpo", "simpo,alpha=0.0,ls=0.0", {}],
  ] as const)("%s of CPO, %s", async (name, key, more) => {
    expectClose(await lossOf(name, chosen, rejected, more), blockOf("cpo")[key]!, 2e-6);
  });

  it("orpo: its odds ratio, and its negative log-likelihood beside it", async () => {
    const block = blockOf("orpo");
    const pair = (): LogRatios => ({ chosen: tensor(chosen), rejected: tensor(rejected) });
    const odds = await numbersOf(() => scale(oddsRatioLoss(pair()), -settings.beta));
    expectClose(odds, block["losses"]!);
    const whole = await lossOf("orpo", chosen, rejected);
    expectClose(whole, [1.2 - block["losses"]![0]!, 0.8 - block["losses"]![1]!]);
  });
});

// LlamaFactory's own test inputs; values computed in f64 independently (hinge, ipo and kto_pair of 0.9.5 give sigmoid's).
describe("losses equal an independent computation", () => {
  const policy = { chosen: [-3, -2.5, -4, -1.5], rejected: [-5, -3.5, -6, -2.5] };
  const reference = { chosen: [-2.8, -2.3, -3.8, -1.4], rejected: [-3.2, -2.7, -4.2, -1.8] };
  const difference = (side: "chosen" | "rejected"): number[] =>
    policy[side].map((value, index) => value - reference[side][index]!);
  const twice = (a: number, b: number): number[] => [a, b, a, b];
  const ktoPair = [0.50499983, 0.50499983, 0.50499983, 0.50249998, 0.45512111, 0.48001066, 0.45512111, 0.48250714];

  it.each([
    ["sigmoid", {}, twice(0.61634377, 0.66359711)],
    ["sigmoid", { labelSmoothing: 0.1 }, twice(0.63234377, 0.66959711)],
    ["sigmoid", { labelSmoothing: 0.3 }, twice(0.66434377, 0.68159711)],
    ["sigmoid", { labelSmoothing: 0.5 }, twice(0.69634377, 0.69359711)],
    ["hinge", {}, twice(0.84, 0.94)],
    ["ipo", {}, twice(11.56, 19.36)],
    ["kto_pair", {}, [0, 1, 2, 3].map((pair) => (ktoPair[pair]! + ktoPair[pair + 4]!) / 2)],
  ] as const)("%s %o", async (name, more, wanted) => {
    expectClose(await lossOf(name, difference("chosen"), difference("rejected"), more), wanted, 1e-8, 1e-8);
  });

  it.each([
    ["orpo", {}, [0.63909969, 0.54946478, 0.84241061, 0.34313312]],
    ["simpo", {}, twice(0.94936722, 0.96167487)],
    ["simpo", { beta: 2, simpoGamma: 1 }, twice(0.79813887, 1.03748795)],
  ] as const)("%s %o", async (name, more, wanted) => {
    expectClose(await lossOf(name, [-0.6, -0.5, -0.8, -0.3], [-1, -0.7, -1.2, -0.5], more), wanted, 1e-8, 1e-8);
  });
});

describe("every loss", () => {
  const names = Object.keys(preferenceLosses) as PreferenceName[];

  it.each(names)(
    "%s is finite at extreme log-probabilities, and lower where the chosen answer is likelier",
    async (name) => {
      const [worse = Number.NaN] = await lossOf(name, [-3], [-2]);
      const [better = Number.NaN] = await lossOf(name, [-2], [-3]);
      expect(better).toBeLessThan(worse);
      for (const pair of [
        [-9000, -1e-4],
        [-1e-4, -9000],
      ] as const)
        expect((await lossOf(name, [pair[0]], [pair[1]])).every(Number.isFinite)).toBe(true);
    },
  );

  it.each(names)("%s has the gradient of its finite differences", async (name) => {
    const start = [-1.3, -0.4, -2.1, -0.9];
    const value = async (values: readonly number[]): Promise<number> =>
      meanOf(await lossOf(name, values.slice(0, 2), values.slice(2), { labelSmoothing: 0.2 }));
    const gradient = await engine.scopeAsync(async () => {
      const [chosen, rejected] = [tensor(start.slice(0, 2)), tensor(start.slice(2))];
      chosen.requiresGrad = rejected.requiresGrad = true;
      engine.backward(mean(preferenceLosses[name].loss({ chosen, rejected }, { ...settings, labelSmoothing: 0.2 })));
      return [...(await chosen.grad!.read()), ...(await rejected.grad!.read())];
    });
    for (const [index, found] of gradient.entries()) {
      const moved = (by: number): number[] => start.map((x, at) => (at === index ? x + by : x));
      const difference = ((await value(moved(1e-5))) - (await value(moved(-1e-5)))) / 2e-5;
      expect(Math.abs(found - difference)).toBeLessThan(1e-7);
    }
  });

  it("sigmoid at the reference is log 2, hinge 1, ipo 1/(2β)²", async () => {
    expectClose(await lossOf("sigmoid", [0], [0]), [Math.LN2], 1e-12, 0);
    expectClose(await lossOf("hinge", [0], [0]), [1], 1e-12, 0);
    expectClose(await lossOf("ipo", [0], [0]), [25], 1e-12, 0);
  });
});
