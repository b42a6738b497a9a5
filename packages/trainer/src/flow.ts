// When a run logs, evaluates, saves and ends: transformers' DefaultFlowCallback as a pure function.

import type { IntervalStrategy, SaveStrategy } from "@welltempered/config";
import { intervalOf } from "./plan.ts";

export interface FlowSettings {
  loggingStrategy: IntervalStrategy;
  loggingSteps: number;
  loggingFirstStep: boolean;
  evalStrategy: IntervalStrategy;
  evalSteps: number;
  saveStrategy: SaveStrategy;
  saveSteps: number;
}

export interface Due {
  log: boolean;
  evaluate: boolean;
  save: boolean;
}

/** What is due after update `step` (from 1). The last step of a run evaluates and saves once more unless it just did. */
export function dueAfterStep(step: number, totalSteps: number, settings: FlowSettings): Due {
  const { loggingStrategy, evalStrategy, saveStrategy } = settings;
  const last = step >= totalSteps;
  const every = (steps: number): boolean => {
    const interval = intervalOf(steps, totalSteps);
    return interval > 0 && step % interval === 0;
  };
  return {
    log: (step === 1 && settings.loggingFirstStep) || (loggingStrategy === "steps" && every(settings.loggingSteps)),
    evaluate: evalStrategy === "steps" && (last || every(settings.evalSteps)),
    save: saveStrategy === "steps" && (last || every(settings.saveSteps)),
  };
}

/** What is due at the end of an epoch, complete or cut short by the last step. */
export function dueAfterEpoch({ loggingStrategy, evalStrategy, saveStrategy }: FlowSettings): Due {
  return { log: loggingStrategy === "epoch", evaluate: evalStrategy === "epoch", save: saveStrategy === "epoch" };
}
