// What the page and its worker say to each other. One task at a time; a stop may come into one.
import type { RunEvent } from "@welltempered/events";

export interface Row {
  question: string;
  answer: string;
}

/** Keys of the YAML that the page's address or fields change. */
export type Settings = Readonly<Record<string, string | number>>;

export type ToWorker =
  | { type: "open"; settings: Settings }
  | { type: "exam" }
  | { type: "train" }
  | { type: "stop" }
  | { type: "ask"; question: string }
  | { type: "adapter" };

export interface Opened {
  type: "opened";
  device: string;
  epochs: number;
  totalSteps: number;
  allParameters: number;
  trainableParameters: number;
  train: Row[];
  held: Row[];
}

/** The results of tasks, each of which ends with one. */
export type Result =
  | Opened
  | { type: "examined"; answers: string[]; exactMatch: number }
  | { type: "trained"; stopped: boolean }
  | { type: "answered"; answer: string }
  | { type: "adapter"; files: Map<string, Uint8Array> }
  | { type: "failed"; message: string };

export interface Memory {
  /** Of tensors, and of the module as a whole. */
  liveBytes: number;
  moduleBytes: number;
}

export type FromWorker =
  | Result
  | { type: "fetched"; done: number; total: number }
  | ({ type: "event"; event: RunEvent } & Memory)
  | { type: "token"; text: string };
