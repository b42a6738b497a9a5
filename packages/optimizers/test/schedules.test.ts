import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  createLearningRate,
  createSchedule,
  OptimizersError,
  stepScheduleNames,
  warmupStepCount,
  type ScheduleName,
  type StepScheduleName,
} from "../src/index.ts";

interface MoreCases {
  steps: {
    name: StepScheduleName;
    learningRate: number;
    warmupSteps: number;
    totalSteps: number;
    options: Record<string, unknown>;
    rates: number[];
  }[];
  metrics: {
    name: ScheduleName;
    learningRate: number;
    options: Record<string, unknown>;
    metrics: number[];
    rates: number[];
  }[];
}

const golden = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/golden/${name}`, import.meta.url), "utf8"));
const table = (golden("optimizers_schedules.json") as Record<string, Record<string, number[]>>)[
  "schedulers lr=1 warmup=2 total=10, lr before step 0..10"
]!;
const more = golden("schedules_more.json") as MoreCases;

function parseKey(key: string): [StepScheduleName, Record<string, number>] {
  const [, name, options] = /^(\w+)(\{.*\})?$/.exec(key)!;
  return [name as StepScheduleName, JSON.parse((options ?? "{}").replaceAll("'", '"'))];
}

describe("schedules", () => {
  test("the golden table names every step schedule", () => {
    expect(
      Object.keys(table)
        .map((key) => parseKey(key)[0])
        .sort(),
    ).toEqual([...stepScheduleNames].sort());
  });

  test.each(Object.entries(table))("%s equals transformers at each of 11 steps", (key, rates) => {
    const [name, options] = parseKey(key);
    const schedule = createSchedule(name, { warmupSteps: 2, totalSteps: 10, learningRate: 1 }, options);
    expect(rates).toHaveLength(11);
    for (const [step, rate] of rates.entries()) expect(Math.abs(schedule(step) - rate)).toBeLessThanOrEqual(1e-8);
  });

  test.each(more.steps)(
    "$name $options with learning rate $learningRate equals transformers",
    ({ name, options, rates, ...span }) => {
      const rate = createLearningRate(name, span, options);
      for (const [step, expected] of rates.entries())
        expect(Math.abs(rate.at(step) - expected)).toBeLessThanOrEqual(1e-15);
    },
  );

  test.each(more.metrics)(
    "$name $options follows the metrics as in torch, also when resumed half-way",
    ({ name, learningRate, options, metrics, rates }) => {
      const span = { learningRate, warmupSteps: 0, totalSteps: 0 };
      let rate = createLearningRate(name, span, options);
      for (const [index, metric] of metrics.entries()) {
        rate.observe(metric);
        expect(rate.at(0)).toBeCloseTo(rates[index]!, 14);
        const resumed = createLearningRate(name, span, options);
        resumed.load(JSON.parse(JSON.stringify(rate.state())) as Record<string, number>);
        rate = resumed;
      }
      expect(new Set(rates).size).toBeGreaterThan(1);
    },
  );

  test("warmup_stable_decay without step counts keeps a third of the rest stable, as LlamaFactory does", () => {
    const schedule = createSchedule("warmup_stable_decay", {
      warmupSteps: 1,
      totalSteps: 11,
      learningRate: 1,
    });
    expect([0, 1, 2, 3, 4, 5].map(schedule).map((factor) => Number(factor.toFixed(6)))).toEqual([
      0, 1, 1, 1, 1, 0.950484,
    ]);
    expect(schedule(11)).toBe(0);
  });

  test("an option that the schedule does not have is refused by name", () => {
    const make = (): unknown =>
      createSchedule("cosine", { warmupSteps: 0, totalSteps: 5, learningRate: 1 }, { power: 2 });
    expect(make).toThrow(OptimizersError);
    expect(make).toThrow("lr_scheduler_kwargs: cosine has no option power");
  });

  test("cosine_with_min_lr wants exactly one of min_lr and min_lr_rate", () => {
    const span = { warmupSteps: 0, totalSteps: 5, learningRate: 1 };
    expect(() => createSchedule("cosine_with_min_lr", span)).toThrow("either min_lr or min_lr_rate");
    expect(() => createSchedule("cosine_with_min_lr", span, { min_lr: 0.1, min_lr_rate: 0.1 })).toThrow(
      "either min_lr or min_lr_rate",
    );
  });
});

describe("warm-up steps", () => {
  test.each([
    [0, 0, 100, 0],
    [10, 0.5, 100, 10],
    [0, 0.03, 101, 4],
    [0.03, 0, 101, 4],
    [0, 0.1, 30, 3],
    [2.9, 0, 30, 2],
  ])("steps %d and ratio %d of %d steps are %d", (steps, ratio, total, expected) => {
    expect(warmupStepCount(steps, ratio, total)).toBe(expected);
  });
});
