import { describe, expect, test } from "vitest";
import { judge } from "../src/best.ts";
import { dueAfterEpoch, dueAfterStep, type FlowSettings } from "../src/flow.ts";
import { epochAfter, intervalOf, planSteps, windowOf } from "../src/plan.ts";
import { freshState, readRunState, writeRunState } from "../src/state.ts";
import { golden } from "./golden.ts";

interface HfRun {
  options: { examples: number; batchSize: number; accumulation: number; numTrainEpochs: number; maxSteps: number };
  flow: FlowSettings;
  totalSteps: number;
  epochs: number;
  steps: { step: number; epoch: number; batches: number; log: boolean; evaluate: boolean; save: boolean }[];
}

describe("the steps of a run", () => {
  test.each(golden<HfRun[]>("trainer_flow.json"))(
    "$options with $flow.evalStrategy/$flow.saveStrategy/$flow.loggingStrategy go as in transformers",
    ({ options, flow, ...expected }) => {
      const plan = planSteps(options);
      expect([plan.totalSteps, plan.epochs]).toEqual([expected.totalSteps, expected.epochs]);
      const ours = Array.from({ length: plan.totalSteps }, (_, index) => {
        const step = index + 1;
        const [first, end] = windowOf(plan, options.accumulation, index % plan.stepsPerEpoch);
        const after = dueAfterStep(step, plan.totalSteps, flow);
        const epochEnds = step % plan.stepsPerEpoch === 0 || step === plan.totalSteps;
        const atEnd = epochEnds ? dueAfterEpoch(flow) : { log: false, evaluate: false, save: false };
        return {
          step,
          epoch: epochAfter(plan, options.accumulation, step),
          batches: end - first,
          log: after.log || atEnd.log,
          evaluate: after.evaluate || atEnd.evaluate,
          save: after.save || atEnd.save,
        };
      });
      expect(ours).toEqual(expected.steps);
    },
  );

  test("an interval below 1 is a share of all steps, rounded up", () => {
    expect([intervalOf(0.1, 25), intervalOf(5, 25)]).toEqual([3, 5]);
  });
});

describe("the best evaluation", () => {
  test("early stopping counts evaluations without a new best and starts over at one", () => {
    const state = freshState();
    const settings = { metricForBestModel: "loss", greaterIsBetter: false, earlyStoppingSteps: 2 };
    const verdicts = [3, 2, 2, 1, 1.5, 1.2].map((loss, step) => {
      state.step = step;
      return judge(state, { eval_loss: loss }, settings);
    });
    expect(verdicts.map(({ best }) => best)).toEqual([true, true, false, true, false, false]);
    expect(verdicts.map(({ stop }) => stop)).toEqual([false, false, false, false, false, true]);
    expect([state.bestMetric, state.bestStep]).toEqual([1, 3]);
  });
});

describe("the state of a run", () => {
  test("keeps the norm of a step that was skipped", () => {
    const state = { ...freshState(), logHistory: [{ grad_norm: Infinity, loss: Number.NaN }] };
    expect(readRunState(writeRunState(state))).toEqual(state);
  });

  test.each(["", "{", '{"step":1'])("text torn to %j is not a state", (text) =>
    expect(readRunState(text)).toBeUndefined(),
  );

  test("survives JSON", () => {
    const state = { ...freshState(), step: 7, bestMetric: 0.25, pending: { loss: { sum: 0.1, count: 0 } } };
    expect(readRunState(writeRunState(state))).toEqual(state);
  });

  test.each([
    [{}],
    [null],
    [{ ...freshState(), step: 1e18 }],
    [{ ...freshState(), step: -1 }],
    [{ ...freshState(), epoch: "1" }],
    [{ ...freshState(), logHistory: {} }],
    [{ ...freshState(), owes: null }],
    [{ ...freshState(), last: { grad_norm: "0" } }],
    [{ ...freshState(), bestCheckpoint: 5 }],
  ])("%j is not a state", (json) => expect(readRunState(JSON.stringify(json))).toBeUndefined());
});
