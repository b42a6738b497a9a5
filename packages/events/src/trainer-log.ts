// trainer_log.jsonl with LlamaFactory's keys (LogCallback.on_log), so that its board and other readers understand a run.
import type { EvalEvent, LogEvent, RunEndEvent, RunEvent } from "./index.ts";
import { duration } from "./text.ts";

/** One line of trainer_log.jsonl; what is not known is left out. */
export interface TrainerLogEntry {
  current_steps: number;
  total_steps: number;
  loss?: number;
  eval_loss?: number;
  predict_loss?: number;
  /** Share of pairs that the rewards rank right. */
  accuracy?: number;
  lr?: number;
  epoch: number;
  percentage: number;
  elapsed_time: string;
  remaining_time: string;
  throughput?: number;
  total_tokens?: number;
}

/** Where a run stands: what an evaluation line needs and its event does not say. */
interface Progress {
  totalSteps: number;
  secondsElapsed: number;
  secondsRemaining: number;
  inputTokensSeen: number | undefined;
}

const round2 = (value: number): number => Math.round(value * 100) / 100;

/** A function from the events of one run to the lines of its trainer_log.jsonl. */
export function trainerLog(): (event: RunEvent) => TrainerLogEntry | undefined {
  const progress: Progress = { totalSteps: 0, secondsElapsed: 0, secondsRemaining: 0, inputTokensSeen: undefined };
  return (event) => {
    follow(progress, event);
    if (event.type === "log") return position(event, progress, logged(event));
    if (event.type === "eval") return { ...position(event, progress, evaluated(event)) };
    return event.type === "run-end" ? position(event, progress, {}) : undefined;
  };
}

function follow(progress: Progress, event: RunEvent): void {
  if (event.type === "run-start") progress.totalSteps = event.totalSteps;
  if (event.type === "step" || event.type === "log") {
    progress.secondsElapsed = event.secondsElapsed;
    progress.totalSteps = event.totalSteps;
  }
  if (event.type === "log") {
    progress.secondsRemaining = event.secondsRemaining;
    progress.inputTokensSeen = event.inputTokensSeen ?? progress.inputTokensSeen;
  }
  if (event.type === "eval") progress.secondsElapsed += event.metrics["eval_runtime"] ?? 0;
}

function logged({ loss, learningRate, metrics }: LogEvent): Partial<TrainerLogEntry> {
  const accuracy = metrics?.["rewards/accuracies"] ?? metrics?.["accuracy"];
  return { loss, ...(accuracy === undefined ? {} : { accuracy }), lr: learningRate };
}

function evaluated({ metrics }: EvalEvent): Pick<TrainerLogEntry, "eval_loss" | "predict_loss"> {
  const { eval_loss: evalLoss, predict_loss: predictLoss } = metrics;
  return {
    ...(evalLoss === undefined ? {} : { eval_loss: evalLoss }),
    ...(predictLoss === undefined ? {} : { predict_loss: predictLoss }),
  };
}

function position(
  { step, epoch }: LogEvent | EvalEvent | RunEndEvent,
  { totalSteps, secondsElapsed, secondsRemaining, inputTokensSeen }: Progress,
  values: Partial<TrainerLogEntry>,
): TrainerLogEntry {
  const entry: TrainerLogEntry = {
    current_steps: step,
    total_steps: totalSteps,
    ...values,
    epoch,
    percentage: totalSteps === 0 ? 100 : round2((step / totalSteps) * 100),
    elapsed_time: duration(secondsElapsed),
    remaining_time: duration(step >= totalSteps ? 0 : secondsRemaining),
  };
  if (!inputTokensSeen) return entry;
  const throughput = secondsElapsed > 0 ? round2(inputTokensSeen / secondsElapsed) : 0;
  return { ...entry, throughput, total_tokens: inputTokensSeen };
}
