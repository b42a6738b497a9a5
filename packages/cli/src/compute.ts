// Starts the compute thread and minds it: events to the listener, signals to the run.
import { Worker } from "node:worker_threads";
import type { RunConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { withDevice } from "./device.ts";
import type { Failure } from "./errors.ts";
import type { FromWorker, Outcome, Task, ToWorker, WorkerInput } from "./protocol.ts";

/** A compute thread without a task yet. */
interface Thread {
  worker: Worker;
  /** Rejects when the thread cannot go on. */
  ended: Promise<never>;
}

let waiting: Thread | undefined;

function startThread(): Thread {
  const worker = new Worker(new URL("./worker.js", import.meta.url));
  const ended = new Promise<never>((_, reject) => {
    worker.on("error", reject);
    worker.on("exit", (code) => reject(new Error(`the compute thread ended with code ${code}`)));
  });
  ended.catch(() => {});
  return { worker, ended };
}

/** Starts the thread of the next task, so that it loads its modules while the configuration is read. */
export function prepareThread(): void {
  waiting = startThread();
  waiting.worker.unref();
}

function takeThread(): Thread {
  const thread = waiting ?? startThread();
  waiting = undefined;
  thread.worker.ref();
  return thread;
}

export interface ComputeOptions {
  task: Task;
  config: RunConfig;
  onEvent: (event: RunEvent) => void;
  onMessage?: (message: FromWorker) => void;
}

export interface Compute {
  readonly result: Promise<Outcome>;
  send(message: ToWorker): void;
  /** Asks the run to end after its step and to save. */
  stop(): void;
  /** Ends the thread at once. */
  terminate(): Promise<unknown>;
}

/** A failure of the worker, with its exit code. */
class ComputeError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode: number;

  constructor({ message, exitCode, stack }: Failure) {
    super(message);
    this.exitCode = exitCode;
    this.stack = stack;
  }
}

/** Runs one task in a worker thread. */
export function compute({ task, config, onEvent, onMessage }: ComputeOptions): Compute {
  const stop = new SharedArrayBuffer(4);
  const input: WorkerInput = { task, config: withDevice(config), stop };
  const { worker, ended } = takeThread();
  let quitting = false;
  const result = new Promise<Outcome>((resolve, reject) => {
    worker.on("message", (message: FromWorker) => {
      if (message.type === "event") onEvent(message.event);
      else if (message.type === "done") resolve(message.outcome);
      else if (message.type === "failed") reject(new ComputeError(message.failure));
      else onMessage?.(message);
    });
    ended.catch((error: unknown) => quitting || reject(error));
    worker.postMessage(input);
  }).finally(() => worker.terminate());
  return {
    result,
    send: (message) => worker.postMessage(message),
    stop: () => void Atomics.store(new Int32Array(stop), 0, 1),
    terminate: () => {
      quitting = true;
      return worker.terminate();
    },
  };
}

export const signalCodes = { SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof signalCodes;

/** Ends the process with the signal's exit code, or by the signal itself where the thread is caught in a system call. */
async function quit(run: Compute, name: StopSignal): Promise<never> {
  const patience = setTimeout(() => {
    process.removeAllListeners(name);
    process.kill(process.pid, name);
  }, 500);
  await run.terminate();
  clearTimeout(patience);
  return process.exit(signalCodes[name]);
}

/**
 * Runs a task to its end. The first SIGINT or SIGTERM asks it to stop and save, the second quits the process at once.
 * Returns the outcome and the signal, if one came.
 */
export async function computeWithSignals(
  options: ComputeOptions,
  note: (text: string) => void,
): Promise<{ outcome: Outcome; signal: StopSignal | undefined }> {
  const run = compute(options);
  let signal: StopSignal | undefined;
  const onSignal = (name: StopSignal): void => {
    if (signal) return void quit(run, name);
    signal = name;
    note("stopping after this step; a second signal quits at once");
    run.stop();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    return { outcome: await run.result, signal };
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}
