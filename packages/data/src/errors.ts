import { printable, UserError } from "@welltempered/formats";

/** What went wrong: the registry, a file, its syntax, one row of it, an option, or nothing usable left. */
export type DataErrorCode = "registry" | "file" | "syntax" | "row" | "option" | "empty";

const MAX_CHARACTERS = 299;

/** Bad data the user can put right; `place` is `file`, `file:line` or a configuration key. */
export class DataError extends UserError {
  readonly code: DataErrorCode;
  readonly hint: string;

  constructor(code: DataErrorCode, place: string, what: string, hint: string) {
    super(printable(`${place}: ${what}; ${hint}`, MAX_CHARACTERS));
    this.code = code;
    this.hint = hint;
  }
}

const SHOWN_CHARACTERS = 60;

/** A short, single-line, quoted form of text taken from a user's file. */
export function quote(text: string): string {
  const short = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return JSON.stringify(short);
}

/** Names the JSON type of a parsed value, as a user would say it. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? "a string" : `a ${typeof value}`;
}
