// The compute thread: runs one task of the trainer and posts what happens.
import { parentPort } from "node:worker_threads";
import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { openChat, runExport, runTraining } from "@welltempered/trainer";
import { failureOf } from "./errors.ts";
import type { FromWorker, Outcome, ToWorker, WorkerInput } from "./protocol.ts";

const post = (message: FromWorker): void => parentPort?.postMessage(message);
const emit: Emit = (event) => post({ type: "event", event });

async function perform({ task, config, stop }: WorkerInput): Promise<Outcome> {
  const flag = new Int32Array(stop);
  if (task === "train") return runTraining(config, emit, () => Atomics.load(flag, 0) !== 0);
  if (task === "export") await runExport(config, emit);
  else await converse(config);
  return { reason: "finished", metrics: {} };
}

/** Answers messages one after the other until the main thread closes the conversation. */
async function converse(config: RunConfig): Promise<void> {
  const session = await openChat(config, emit);
  try {
    await new Promise<void>((resolve, reject) => {
      let answering: AbortController | undefined;
      parentPort?.on("message", (message: ToWorker) => {
        if (message.type === "close") resolve();
        else if (message.type === "clear") session.clear();
        else if (message.type === "abort") answering?.abort();
        else {
          answering = new AbortController();
          const onToken = (text: string): void => post({ type: "token", text });
          session
            .send(message.text, onToken, answering.signal)
            .then((text) => post({ type: "answer", text }))
            .catch(reject);
        }
      });
      post({ type: "ready" });
    });
  } finally {
    session.dispose();
    parentPort?.removeAllListeners("message");
  }
}

parentPort?.once("message", (input: WorkerInput) => {
  perform(input).then(
    (outcome) => post({ type: "done", outcome }),
    (error: unknown) => post({ type: "failed", failure: failureOf(error) }),
  );
});
