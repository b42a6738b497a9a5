// The step schedules of transformers 5.18 `optimization.py`: pure functions from the number of updates already made to
// a factor of the base learning rate. p runs from 0 at the end of the warm-up to 1 at the last step.

import { OptimizersError } from "./errors.ts";
import { OptionReader, type ScheduleOptions } from "./options.ts";

export interface ScheduleSpan {
  warmupSteps: number;
  totalSteps: number;
  /** Base learning rate: schedules that end at an absolute rate divide by it. */
  learningRate: number;
}

/** Factor of the base learning rate for the update that follows `step` updates. */
export type Schedule = (step: number) => number;

type MakeSchedule = (span: ScheduleSpan, options: OptionReader) => Schedule;

const warmupFactor = (step: number, warmupSteps: number): number => step / Math.max(1, warmupSteps);

const progress = (step: number, span: ScheduleSpan): number =>
  (step - span.warmupSteps) / Math.max(1, span.totalSteps - span.warmupSteps);

const halfCosine = (cycles: number, p: number): number => 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * p));

/** t/w during the warm-up, `after` from then on. */
const warmedUp =
  (span: ScheduleSpan, after: Schedule): Schedule =>
  (step) =>
    step < span.warmupSteps ? warmupFactor(step, span.warmupSteps) : after(step);

const linear: MakeSchedule = (span) => {
  const decaySteps = Math.max(1, span.totalSteps - span.warmupSteps);
  return warmedUp(span, (step) => Math.max(0, (span.totalSteps - step) / decaySteps));
};

const cosine: MakeSchedule = (span, options) => {
  const cycles = options.number("num_cycles", 0.5);
  return warmedUp(span, (step) => Math.max(0, halfCosine(cycles, progress(step, span))));
};

const cosineWithRestarts: MakeSchedule = (span, options) => {
  const cycles = options.number("num_cycles", 1);
  return warmedUp(span, (step) => {
    const p = progress(step, span);
    return p >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * p) % 1))));
  });
};

const polynomial: MakeSchedule = (span, options) => {
  const end = options.number("lr_end", 1e-7);
  const power = options.number("power", 1);
  const { learningRate, warmupSteps, totalSteps } = span;
  if (!(learningRate > end)) {
    throw new OptimizersError(
      "BAD_OPTION",
      `lr_scheduler_kwargs.lr_end: ${end} is not below learning_rate ${learningRate}`,
      "lower it",
    );
  }
  return warmedUp(span, (step) => {
    if (step > totalSteps) return end / learningRate;
    const remaining = 1 - (step - warmupSteps) / (totalSteps - warmupSteps);
    return ((learningRate - end) * remaining ** power + end) / learningRate;
  });
};

const inverseSqrt: MakeSchedule = (span, options) => {
  const timescale = options.number("timescale", span.warmupSteps || 10_000);
  return warmedUp(span, (step) => 1 / Math.sqrt((step + timescale - span.warmupSteps) / timescale));
};

function minimumRate(span: ScheduleSpan, options: OptionReader): number {
  const absolute = options.optionalNumber("min_lr");
  const rate = options.optionalNumber("min_lr_rate");
  if ((absolute === undefined) === (rate === undefined)) {
    throw new OptimizersError(
      "BAD_OPTION",
      "lr_scheduler_kwargs: this schedule takes either min_lr or min_lr_rate",
      "give one of them",
    );
  }
  return rate ?? (absolute ?? 0) / span.learningRate;
}

const cosineWithMinLr: MakeSchedule = (span, options) => {
  const cycles = options.number("num_cycles", 0.5);
  const floor = minimumRate(span, options);
  return warmedUp(span, (step) => Math.max(0, halfCosine(cycles, progress(step, span)) * (1 - floor) + floor));
};

/** Begins one step into its warm-up, and rises again after the last step. */
const cosineWarmupWithMinLr: MakeSchedule = (span, options) => {
  const { warmupSteps } = span;
  const cycles = options.number("num_cycles", 0.5);
  const floor = minimumRate(span, options);
  const first = options.optionalNumber("warmup_lr_rate");
  return (step) => {
    if (step >= warmupSteps) return Math.max(0, halfCosine(cycles, progress(step + 1, span)) * (1 - floor) + floor);
    if (first === undefined) return (step + 1) / Math.max(1, warmupSteps);
    return first + ((1 - first) * step) / Math.max(1, warmupSteps - 1);
  };
};

const shapes = ["linear", "cosine", "1-sqrt"] as const;
type RampShape = (typeof shapes)[number];

const rise: Record<RampShape, (p: number) => number> = {
  linear: (p) => p,
  cosine: (p) => 0.5 * (1 - Math.cos(Math.PI * p)),
  "1-sqrt": (p) => 1 - Math.sqrt(1 - p),
};

const fall: Record<RampShape, (p: number, cycles: number) => number> = {
  linear: (p) => 1 - p,
  cosine: (p, cycles) => halfCosine(cycles, p),
  "1-sqrt": (p) => 1 - Math.sqrt(p),
};

/** Without step counts a third of what follows the warm-up is stable, the rest decays: LlamaFactory's default. */
const warmupStableDecay: MakeSchedule = (span, options) => {
  const { warmupSteps } = span;
  const rest = span.totalSteps - warmupSteps;
  const givenDecay = options.optionalNumber("num_decay_steps");
  const third = Math.floor(rest / 3);
  const stable = options.number("num_stable_steps", givenDecay === undefined ? third : rest - givenDecay);
  const decay = givenDecay ?? rest - third;
  const floor = options.number("min_lr_ratio", 0);
  const cycles = options.number("num_cycles", 0.5);
  const up = rise[options.choice("warmup_type", shapes, "linear")];
  const down = fall[options.choice("decay_type", shapes, "cosine")];
  const lifted = (factor: number): number => Math.max(0, factor * (1 - floor) + floor);
  return (step) => {
    if (step < warmupSteps) return lifted(up(warmupFactor(step, warmupSteps)));
    if (step < warmupSteps + stable) return 1;
    const decayed = step - warmupSteps - stable;
    return decayed < decay ? lifted(down(decayed / Math.max(1, decay), cycles)) : floor;
  };
};

/** A schedule that depends on the step alone. */
export type StepScheduleName =
  | "linear"
  | "cosine"
  | "cosine_with_restarts"
  | "polynomial"
  | "constant"
  | "constant_with_warmup"
  | "inverse_sqrt"
  | "cosine_with_min_lr"
  | "cosine_warmup_with_min_lr"
  | "warmup_stable_decay";

const makers: Readonly<Record<StepScheduleName, MakeSchedule>> = {
  linear,
  cosine,
  cosine_with_restarts: cosineWithRestarts,
  polynomial,
  constant: () => () => 1,
  constant_with_warmup: (span) => warmedUp(span, () => 1),
  inverse_sqrt: inverseSqrt,
  cosine_with_min_lr: cosineWithMinLr,
  cosine_warmup_with_min_lr: cosineWarmupWithMinLr,
  warmup_stable_decay: warmupStableDecay,
};

export const stepScheduleNames: readonly StepScheduleName[] = Object.keys(makers) as StepScheduleName[];

/**
 * The schedule of that name, as `transformers.get_scheduler` makes it.
 * @throws {OptimizersError} BAD_OPTION for an option that this schedule does not have
 */
export function createSchedule(name: StepScheduleName, span: ScheduleSpan, options: ScheduleOptions = {}): Schedule {
  const reader = new OptionReader(name, options);
  const schedule = makers[name](span, reader);
  reader.done();
  return schedule;
}

/**
 * Warm-up steps of a run, `TrainingArguments.get_warmup_steps`: a count from 1 up, a fraction of all steps below 1.
 * `steps` wins over `ratio`.
 */
export function warmupStepCount(steps: number, ratio: number, totalSteps: number): number {
  if (steps >= 1) return Math.trunc(steps);
  return Math.ceil(totalSteps * (steps > 0 ? steps : ratio));
}
