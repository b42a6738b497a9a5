// Against torch's GradScaler and accelerate's optimizer and schedule: tools/python/make_loss_scale.py.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { createLearningRate, freshLossScale, nextLossScale } from "../src/index.ts";

type State = [scale: number, growthTracker: number];
const fixture = new URL("../../../fixtures/optimizers/loss-scale.json", import.meta.url);
const torch = JSON.parse(readFileSync(fixture, "utf8")) as {
  defaults: { scale: number; _growth_tracker: number };
  courses: Record<string, { start: number; runs: [overflows: boolean, count: number][]; states: State[] }>;
  schedule: { warmup: number; steps: { overflows: boolean; rate: number; changed: boolean; state: State }[] };
};

it("a fresh loss scale is a fresh GradScaler's", () => {
  expect(freshLossScale()).toEqual({ scale: torch.defaults.scale, growthTracker: torch.defaults._growth_tracker });
});

describe.each(Object.entries(torch.courses))("a loss scale %s", (_, { start, runs, states }) => {
  it("halves and doubles where GradScaler's does", () => {
    let now = { scale: start, growthTracker: 0 };
    const ours = runs.map(([overflows, count]): State => {
      for (let step = 0; step < count; step++) now = nextLossScale(now, overflows);
      return [now.scale, now.growthTracker];
    });
    expect(ours).toEqual(states);
  });
});

it("a schedule that counts the steps made has accelerate's learning rates", () => {
  const { warmup, steps } = torch.schedule;
  const rate = createLearningRate("linear", { learningRate: 1, warmupSteps: warmup, totalSteps: steps.length });
  let [now, made] = [freshLossScale(), 0];
  for (const { overflows, rate: theirs, changed, state } of steps) {
    const ours = rate.at(made);
    expect(ours).toBeCloseTo(theirs, 15);
    expect(changed).toBe(!overflows && ours > 0);
    now = nextLossScale(now, overflows);
    if (!overflows) made++;
    expect([now.scale, now.growthTracker]).toEqual(state);
  }
});
