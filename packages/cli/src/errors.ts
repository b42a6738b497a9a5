import { oneLine } from "@welltempered/events";

/** A failure as it crosses from the worker: plain data. */
export interface Failure {
  message: string;
  exitCode: number;
  stack: string;
}

/** Wrong use of the command line, exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode: number = 2;
  readonly code: string = "usage";
}

const maxLine = 300;

/** Failures of the machine, with what to do about them: exit code 3. */
const environment: Readonly<Record<string, string>> = {
  ENOSPC: "free some disk space and run again",
  EDQUOT: "free some of the quota and run again",
  EFBIG: "raise the limit on file sizes",
  EIO: "check the disk",
  EROFS: "choose a folder that can be written",
  EACCES: "check the permissions",
  EPERM: "check the permissions",
  EMFILE: "raise the limit on open files (ulimit -n)",
  ENFILE: "raise the limit on open files",
  ENOMEM: "free some memory, or use a smaller batch or model",
  ERR_WORKER_OUT_OF_MEMORY: "use a smaller data set or model",
  ENAMETOOLONG: "choose a shorter path",
  ENOTDIR: "check the path",
  EISDIR: "check the path",
  ELOOP: "check the links on the path",
};

/** Codes of the kernels whose own message and hint say all: no backend, no memory. */
const kernelEnvironment = new Set(["NO_BACKEND", "OUT_OF_MEMORY", "DEVICE_FAILED"]);

/** Anything thrown → the one line and the exit code it stands for. */
export function failureOf(error: unknown): Failure {
  const { message, exitCode, code, hint, path, stack } = fields(error);
  if (exitCode !== undefined) return { message, exitCode, stack };
  if (code !== undefined && kernelEnvironment.has(code)) return { message: `${message}; ${hint}`, exitCode: 3, stack };
  const remedy = code === undefined ? undefined : environment[code];
  if (remedy === undefined)
    return { message: `internal: ${message}; run with --debug and report it`, exitCode: 1, stack };
  return { message: `${path ?? "system"}: ${code}; ${remedy}`, exitCode: 3, stack };
}

interface Fields {
  message: string;
  exitCode: number | undefined;
  code: string | undefined;
  hint: string;
  path: string | undefined;
  stack: string;
}

function fields(error: unknown): Fields {
  const from = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  const text = (key: string): string | undefined => (typeof from[key] === "string" ? from[key] : undefined);
  const { exitCode } = from;
  return {
    message: text("message") ?? String(error),
    exitCode: typeof exitCode === "number" ? exitCode : undefined,
    code: text("code"),
    hint: text("hint") ?? "",
    path: text("path"),
    stack: text("stack") ?? "",
  };
}

/** `error: …` on one line of at most 300 characters, without control characters. */
export function errorLine(message: string): string {
  const line = `error: ${oneLine(message)}`;
  return line.length > maxLine ? `${line.slice(0, maxLine - 1)}…` : line;
}
