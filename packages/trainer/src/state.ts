// What a run remembers between steps. `toTrainerState` is the trainer_state.json of transformers; what that has no
// place for (accumulators, the patience counter, a plateau schedule) is beside it in `ResumeState`.

import type { LossScale } from "@welltempered/optimizers";

/** One entry of `log_history`: unrounded. */
export type LogEntry = Record<string, number>;

export interface RunState {
  step: number;
  epoch: number;
  inputTokensSeen: number;
  totalFlos: number;
  logHistory: LogEntry[];
  bestMetric: number | undefined;
  bestStep: number | undefined;
  bestCheckpoint: string | undefined;
  /** Evaluations in a row without a new best. */
  patience: number;
  /** Sum of the step losses that were logged. */
  loggedLoss: number;
  /** Sums since the last log; read from the device when a checkpoint is written. */
  pending: Record<string, Pending>;
  lastLoggedStep: number;
  /** Of the last step, for the log. */
  last: { grad_norm: number; learning_rate: number };
  /** Steps skipped for a gradient that is not finite: in all, and in a row. */
  skipped: number;
  skippedInRow: number;
  /** Of `fp16`; undefined elsewhere. */
  lossScale: LossScale | undefined;
  /** State of a schedule that listens to metrics. */
  schedule: Record<string, number>;
  /** What was due after the last step and is not done yet: a run stopped by a signal does it when it resumes. */
  owes: Owed;
}

/** A sum on the device and how many items are in it. */
export interface Pending {
  sum: number;
  count: number;
}

export interface Owed {
  evaluate: boolean;
  save: boolean;
  epochEnd: boolean;
}

export function freshState(): RunState {
  return {
    step: 0,
    epoch: 0,
    inputTokensSeen: 0,
    totalFlos: 0,
    logHistory: [],
    bestMetric: undefined,
    bestStep: undefined,
    bestCheckpoint: undefined,
    patience: 0,
    loggedLoss: 0,
    pending: {},
    lastLoggedStep: 0,
    last: { grad_norm: 0, learning_rate: 0 },
    skipped: 0,
    skippedInRow: 0,
    lossScale: undefined,
    schedule: {},
    owes: { evaluate: false, save: false, epochEnd: false },
  };
}

/** Fixed facts of a run that trainer_state.json repeats. */
export interface RunFacts {
  totalSteps: number;
  epochs: number;
  loggingSteps: number;
  evalSteps: number;
  saveSteps: number;
  trainBatchSize: number;
}

/** trainer_state.json, keys sorted as Python's `sort_keys` does. */
export function toTrainerState(state: RunState, facts: RunFacts): Record<string, unknown> {
  return {
    best_global_step: state.bestStep ?? null,
    best_metric: state.bestMetric ?? null,
    best_model_checkpoint: state.bestCheckpoint ?? null,
    epoch: state.epoch,
    eval_steps: facts.evalSteps,
    global_step: state.step,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: state.logHistory.map(sorted),
    logging_steps: facts.loggingSteps,
    max_steps: facts.totalSteps,
    num_input_tokens_seen: state.inputTokensSeen,
    num_train_epochs: facts.epochs,
    save_steps: facts.saveSteps,
    stateful_callbacks: {},
    total_flos: state.totalFlos,
    train_batch_size: facts.trainBatchSize,
    trial_name: null,
    trial_params: null,
  };
}

export const sorted = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

const counters = [
  "step",
  "epoch",
  "inputTokensSeen",
  "totalFlos",
  "patience",
  "loggedLoss",
  "lastLoggedStep",
  "skipped",
  "skippedInRow",
] as const satisfies readonly (keyof RunState)[];

/** run_state.json. A number that JSON has no word for (the norm of a skipped step) is a text. */
export const writeRunState = (state: RunState): string =>
  `${JSON.stringify(state, (_key, value: unknown) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value))}\n`;

const unwritable = new Map(Object.entries({ NaN: Number.NaN, Infinity, "-Infinity": -Infinity }));

/** A state from its own text, or undefined where a value cannot be (hostile or torn file). */
export function readRunState(text: string): RunState | undefined {
  try {
    return parseRunState(
      JSON.parse(text, (_key, value: unknown) =>
        typeof value === "string" ? (unwritable.get(value) ?? value) : value,
      ),
    );
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function parseRunState(json: unknown): RunState | undefined {
  if (!isRecord(json)) return undefined;
  const state = { ...freshState(), ...(json as Partial<RunState>) };
  const numbers = counters.every((key) => Number.isFinite(json[key]));
  const step = Number.isSafeInteger(state.step) && state.step >= 0 && state.step < 2 ** 40;
  const log = Array.isArray(state.logHistory) && state.logHistory.every(isRecordOfNumbers);
  const records = isRecordOfNumbers(state.last) && isRecordOfNumbers(state.schedule) && isRecord(state.pending);
  const best = isOptional(state.bestMetric, "number") && isOptional(state.bestStep, "number");
  const scale = json["lossScale"] === undefined || isLossScale(json["lossScale"]);
  const isSane = numbers && step && log && records && best && scale && isOptional(state.bestCheckpoint, "string");
  return isSane && isRecord(state.owes) && Object.values(state.pending).every(isRecordOfNumbers) ? state : undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isRecordOfNumbers = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((item) => typeof item === "number");

const isLossScale = (value: unknown): boolean =>
  isRecord(value) && Number.isFinite(value["scale"]) && Number.isSafeInteger(value["growthTracker"]);

const isOptional = (value: unknown, type: "number" | "string"): boolean => value === undefined || typeof value === type;
