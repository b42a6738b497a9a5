/** One code per way a configuration can be wrong. */
export type ConfigErrorCode = "unreadable" | "syntax" | "unknown-key" | "unsupported" | "value" | "conflict" | "usage";

/** Bad configuration or usage: one line `<file>:<line>:<column>: <what>; <what to do>`, exit code 2. */
export class ConfigError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode = 2;
  readonly code: ConfigErrorCode;
  readonly hint: string;

  constructor(code: ConfigErrorCode, where: string, what: string, hint: string) {
    super(`${where ? `${where}: ` : ""}${what}; ${hint}`);
    this.code = code;
    this.hint = hint;
  }
}

/** A value as it may stand in a message: short, quoted, control characters escaped. */
export function shown(value: unknown): string {
  const text =
    typeof value === "string" ? JSON.stringify(value) : typeof value === "number" ? `${value}` : plain(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "a mapping";
  return String(value);
}
