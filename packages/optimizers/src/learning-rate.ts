// The learning rate of a run: a step schedule, or one that listens to the evaluation metric and therefore has state.

import { createSchedule, type ScheduleSpan, type StepScheduleName } from "./schedules.ts";
import { OptionReader, type ScheduleOptions } from "./options.ts";
import { Plateau } from "./plateau.ts";
import { Greedy } from "./greedy.ts";

export type ScheduleName = StepScheduleName | "reduce_lr_on_plateau" | "greedy";

export interface LearningRate {
  /** True where `observe` must be called after each evaluation. */
  readonly needsMetric: boolean;
  /** Learning rate of the update that follows `step` updates. */
  at(step: number): number;
  observe(metric: number): void;
  /** Plain numbers for a checkpoint; empty where the step says all. */
  state(): Record<string, number>;
  load(state: Readonly<Record<string, number>>): void;
}

/**
 * The learning rate of a run by the schedule's Hugging Face name.
 * @throws {OptimizersError} BAD_OPTION
 */
export function createLearningRate(
  name: ScheduleName,
  span: ScheduleSpan,
  options: ScheduleOptions = {},
): LearningRate {
  if (name === "reduce_lr_on_plateau" || name === "greedy") {
    const reader = new OptionReader(name, options);
    const made = name === "greedy" ? new Greedy(span.learningRate, reader) : new Plateau(span.learningRate, reader);
    reader.done();
    return made;
  }
  const schedule = createSchedule(name, span, options);
  return {
    needsMetric: false,
    at: (step) => span.learningRate * schedule(step),
    observe: () => {},
    state: () => ({}),
    load: () => {},
  };
}
