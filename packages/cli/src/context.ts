// How a command speaks: results on standard output, everything else on standard error.
import { oneLine, terminal, type RunEvent } from "@welltempered/events";

export interface Context {
  readonly json: boolean;
  readonly debug: boolean;
  /** A result. */
  print(text: string): void;
  /** Something to know, on a line of standard error. */
  note(text: string): void;
  /** Draws, or writes as JSON, one event of a run. */
  listen(event: RunEvent): void;
  /** Ends the line in place before other output. */
  settle(): void;
}

const flags = new Set(["--json", "--quiet", "--debug"]);

/** The words that belong to the command itself. */
export function ownWords(words: readonly string[]): string[] {
  return words.filter((word) => !flags.has(word));
}

/** Reads `--json`, `--quiet`, `--debug` and the kind of terminal. */
export function createContext(words: readonly string[]): Context {
  const has = (flag: string): boolean => words.includes(flag);
  const { stdout, stderr, env } = process;
  const live = stderr.isTTY && !env["CI"] && env["TERM"] !== "dumb";
  const view = terminal({ write: (text) => void stderr.write(text), live, columns: stderr.columns ?? 80 });
  const json = has("--json");
  return {
    json,
    debug: has("--debug"),
    print: (text) => void stdout.write(text),
    note: (text) => void (has("--quiet") || stderr.write(`${oneLine(text)}\n`)),
    listen: (event) => {
      if (json) stdout.write(`${JSON.stringify(event)}\n`);
      else if (!has("--quiet") || isWarning(event)) view.listen(event);
    },
    settle: view.close,
  };
}

function isWarning(event: RunEvent): boolean {
  return event.type === "notice" && event.level === "warning";
}
