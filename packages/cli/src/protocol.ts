// What crosses between the main thread (signals, terminal) and the worker (compute). Plain data only.
import type { RunConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import type { Failure } from "./errors.ts";

export type Task = "train" | "export" | "chat";

export interface WorkerInput {
  task: Task;
  config: RunConfig;
  /** One Int32: 1 asks the run to end after its step. */
  stop: SharedArrayBuffer;
}

/** Why a run ended, and its last figures. */
export interface Outcome {
  reason: "finished" | "stopped" | "early-stop";
  metrics: Record<string, number>;
}

export type FromWorker =
  | { type: "event"; event: RunEvent }
  | { type: "done"; outcome: Outcome }
  | { type: "failed"; failure: Failure }
  | { type: "ready" }
  | { type: "token"; text: string }
  | { type: "answer"; text: string };

export type ToWorker = { type: "send"; text: string } | { type: "abort" } | { type: "clear" } | { type: "close" };
