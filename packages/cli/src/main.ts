// Dispatch. Only the command that runs is loaded: help and version load neither zod nor the kernels.
import { readFileSync } from "node:fs";
import { commandHelp, helpText } from "./help-text.ts";
import { packageFolder } from "./package-folder.ts";
import type { Context } from "./context.ts";

type Command = (words: string[], context: Context) => Promise<number>;

const commands: Readonly<Record<string, () => Promise<Command>>> = {
  train: computing(async () => (await import("./commands/train.ts")).train),
  plan: async () => (await import("./commands/plan.ts")).plan,
  chat: computing(async () => (await import("./commands/chat.ts")).chat),
  export: computing(async () => (await import("./commands/export.ts")).exportModel),
  demo: async () => (await import("./commands/demo.ts")).demo,
  env: async () => (await import("./commands/env.ts")).env,
  help: async () => (await import("./commands/help.ts")).help,
};

/** A command that computes in the worker: the worker loads while the command and its configuration do. */
function computing(load: () => Promise<Command>): () => Promise<Command> {
  return async () => {
    (await import("./compute.ts")).prepareThread();
    return load();
  };
}

/** Runs a command line (without `node temper.js`) and sets the exit code of the process. Never throws. */
export async function main(words: readonly string[]): Promise<void> {
  ignoreClosedPipes();
  const debug = words.includes("--debug");
  try {
    process.exitCode = await dispatch(words);
  } catch (error) {
    const { errorLine, failureOf } = await import("./errors.ts");
    const { message, exitCode, stack } = failureOf(error);
    process.stderr.write(`${errorLine(message)}\n${debug ? `${stack}\n` : ""}`);
    process.exitCode = exitCode;
  }
}

async function dispatch(words: readonly string[]): Promise<number> {
  const [name = "--help", ...rest] = words;
  if (name === "--help" || name === "-h") return print(helpText);
  if (name === "--version" || name === "-v" || name === "version") return print(`temper ${version()}\n`);
  if (!Object.hasOwn(commands, name)) return unknownCommand(name);
  if (rest.includes("--help") || rest.includes("-h")) return print(commandHelp[name] ?? helpText);
  const [{ createContext, ownWords }, command] = await Promise.all([import("./context.ts"), commands[name]?.()]);
  return command ? command(ownWords(rest), createContext(rest)) : 1;
}

async function unknownCommand(name: string): Promise<never> {
  const { UsageError } = await import("./errors.ts");
  const known = [...Object.keys(commands), "version"].join(", ");
  throw new UsageError(`unknown command ${JSON.stringify(name.slice(0, 60))}; use one of ${known}`);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** The version of this package. */
export function version(): string {
  const manifest = readFileSync(new URL("package.json", packageFolder), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** A reader that leaves (`| head -1`) is no failure. */
function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED") process.exit(process.exitCode ?? 0);
      throw error;
    });
}
