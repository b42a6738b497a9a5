// The one typed stream of a run. A terminal, trainer_log.jsonl, TensorBoard or a web page is a listener; nothing prints.
// Events are plain data: they cross a worker boundary by structured clone.

/** One decoded training example, with what is masked. */
export interface ExampleEvent {
  type: "example";
  /** Which one of several, as "chosen". */
  name?: string;
  inputIds: number[];
  inputs: string;
  labelIds: number[];
  labels: string;
}

export interface RunStartEvent {
  type: "run-start";
  stage: string;
  outputDir: string;
  device: string;
  examples: number;
  epochs: number;
  totalSteps: number;
  startStep: number;
  trainableParameters: number;
  allParameters: number;
}

/** One optimizer step is complete. Scalars are present on logging steps only, as they cost a read. */
export interface StepEvent {
  type: "step";
  step: number;
  totalSteps: number;
  epoch: number;
  /** Target tokens and input tokens of the accumulated batch. */
  tokens: number;
  secondsElapsed: number;
}

/** Mean over the steps since the last log, as transformers logs it. */
export interface LogEvent {
  type: "log";
  step: number;
  totalSteps: number;
  epoch: number;
  loss: number;
  gradNorm: number;
  learningRate: number;
  tokensPerSecond: number;
  secondsElapsed: number;
  secondsRemaining: number;
  /** `num_input_tokens_seen`, when it is counted. */
  inputTokensSeen?: number;
  metrics?: Record<string, number>;
}

export interface EvalEvent {
  type: "eval";
  step: number;
  epoch: number;
  /** eval_loss, eval_runtime, … */
  metrics: Record<string, number>;
}

export interface CheckpointEvent {
  type: "checkpoint";
  step: number;
  path: string;
}

export interface NoticeEvent {
  type: "notice";
  level: "info" | "warning";
  message: string;
}

export interface ProgressEvent {
  type: "progress";
  /** "loading model", "tokenizing", "predicting", "exporting" */
  what: string;
  done: number;
  total: number;
}

export interface RunEndEvent {
  type: "run-end";
  /** Why it ended. */
  reason: "finished" | "stopped" | "early-stop";
  step: number;
  epoch: number;
  metrics: Record<string, number>;
  outputDir: string;
}

export type RunEvent =
  | ExampleEvent
  | RunStartEvent
  | StepEvent
  | LogEvent
  | EvalEvent
  | CheckpointEvent
  | NoticeEvent
  | ProgressEvent
  | RunEndEvent;

export type Emit = (event: RunEvent) => void;

export { lossPlot, smooth, type PlotPoint } from "./loss-plot.ts";
export { plainLine, terminal, type TerminalOptions } from "./terminal.ts";
export { duration, figure, oneLine, visible } from "./text.ts";
export { trainerLog, type TrainerLogEntry } from "./trainer-log.ts";
