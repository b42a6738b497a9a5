// Main-thread half of a conversation: lines in, tokens out. The model lives in the worker.
import { createInterface, type Interface } from "node:readline";
import { loadConfig } from "@welltempered/config";
import { visible } from "@welltempered/events";
import type { Context } from "../context.ts";
import { compute, signalCodes, type Compute, type StopSignal } from "../compute.ts";
import { UsageError } from "../errors.ts";
import type { FromWorker } from "../protocol.ts";

/** `temper chat`: interactive, from a pipe, or one question with `--once`; returns the exit code. */
export async function chat(words: string[], context: Context): Promise<number> {
  const { once, rest } = takeOnce(words);
  const { config, warnings } = loadConfig(rest, "chat");
  for (const message of warnings) context.listen({ type: "notice", level: "warning", message });
  const model = openModel((listener) =>
    compute({ task: "chat", config, onEvent: context.listen, onMessage: listener }),
  );
  const quit = (signal: StopSignal): void =>
    void (model.interrupt(signal === "SIGTERM") || process.exit(signalCodes[signal]));
  process.on("SIGINT", quit).on("SIGTERM", quit);
  try {
    await model.ready;
    context.settle();
    if (once === undefined) await converse(model, context);
    else context.print(`${visible(await model.ask(once, () => {}))}\n`);
    await model.close();
    return 0;
  } finally {
    context.settle();
    process.off("SIGINT", quit).off("SIGTERM", quit);
  }
}

function takeOnce(words: readonly string[]): { once: string | undefined; rest: string[] } {
  const at = words.findIndex((word) => word === "--once" || word.startsWith("--once="));
  if (at < 0) return { once: undefined, rest: [...words] };
  const attached = words[at]?.includes("=") ?? false;
  const once = attached ? words[at]?.slice("--once=".length) : words[at + 1];
  if (!once) throw new UsageError('--once has no question; write --once "question"');
  return { once, rest: words.filter((_, i) => i !== at && (attached || i !== at + 1)) };
}

interface Model {
  readonly ready: Promise<void>;
  /** Resolves with the whole answer, calling back for each piece. */
  ask(question: string, onToken: (text: string) => void): Promise<string>;
  clear(): void;
  /** Stops the answer in the making; false when there is none, or when it must not go on. */
  interrupt(final: boolean): boolean;
  close(): Promise<void>;
}

interface Waiting {
  resolve: (text: string) => void;
  onToken: (text: string) => void;
}

function openModel(start: (listener: (message: FromWorker) => void) => Compute): Model {
  let waiting: Waiting | undefined;
  let isReady: () => void = () => {};
  const opened = new Promise<void>((resolve) => (isReady = resolve));
  const run = start((message) => {
    if (message.type === "ready") isReady();
    else if (message.type === "token") waiting?.onToken(message.text);
    else if (message.type === "answer") waiting?.resolve(message.text);
  });
  const failed = run.result.then(() => undefined as never);
  failed.catch(() => {});
  return {
    ready: Promise.race([opened, failed]),
    ask: (text, onToken) => {
      const answer = new Promise<string>((resolve) => (waiting = { resolve, onToken }));
      run.send({ type: "send", text });
      return Promise.race([answer, failed]).finally(() => (waiting = undefined));
    },
    clear: () => run.send({ type: "clear" }),
    interrupt: (final) => {
      if (final || !waiting) return false;
      run.send({ type: "abort" });
      return true;
    },
    close: async () => {
      run.send({ type: "close" });
      await run.result;
    },
  };
}

async function converse(model: Model, context: Context): Promise<void> {
  const interactive = process.stdin.isTTY === true;
  if (interactive) context.note("clear forgets the conversation, exit leaves");
  const lines = createInterface({ input: process.stdin, ...(interactive ? { output: process.stderr } : {}) });
  // On a terminal readline takes Ctrl-C for itself; hand it on.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  prompt(lines, interactive);
  for await (const line of lines) {
    const text = line.trim();
    if (text === "exit") break;
    if (text === "clear") model.clear();
    else if (text !== "") await answer(model, text, context, interactive);
    prompt(lines, interactive);
  }
  lines.close();
}

function prompt(lines: Interface, interactive: boolean): void {
  if (!interactive) return;
  lines.setPrompt("User: ");
  lines.prompt();
}

async function answer(model: Model, question: string, context: Context, interactive: boolean): Promise<void> {
  if (interactive) process.stderr.write("Assistant: ");
  await model.ask(question, (text) => context.print(visible(text)));
  context.print("\n");
}
