// Patterns of tokenizer.json are Oniguruma's; the library translates them. JavaScript's engine backtracks without a
// bound, so a pattern that can take exponential time is refused before it sees any text.
import { TokenizerError } from "../errors.ts";
import { type Json, isRecord, shown } from "../files/tokenizer-json.ts";
import { SplitPreTokenizer } from "./library.ts";

const MAX_PATTERN = 20_000;

/** Compiles `{"Regex": …}` or `{"String": …}` of a tokenizer.json; throws where it cannot or must not run. */
export function compilePattern(pattern: Json | undefined, place: string): RegExp {
  if (!isRecord(pattern)) return reject(place, shown(pattern), "is not a pattern");
  const { String: literal, Regex: source } = pattern;
  if (typeof literal === "string") return new RegExp(escapeLiteral(literal), "gu");
  if (typeof source !== "string" || source.length > MAX_PATTERN)
    return reject(place, shown(source), "is not a pattern");
  if (canExplode(source))
    reject(place, shown(source), "repeats a group that repeats or branches itself, which can take exponential time");
  return translate(source, place);
}

function reject(place: string, what: string, why: string): never {
  throw new TokenizerError(
    "pattern",
    place,
    `the pattern ${what} ${why}`,
    "use the tokenizer.json that the model's authors published",
  );
}

function escapeLiteral(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function translate(source: string, place: string): RegExp {
  let compiled: RegExp | null = null;
  try {
    compiled = new SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: source },
      behavior: "Isolated",
      invert: false,
    }).pattern;
  } catch {
    // The library explains in terms of its own translation; the pattern itself tells the user more.
  }
  return compiled ?? reject(place, shown(source), "cannot be translated to JavaScript");
}

interface Group {
  repeats: boolean;
  branches: boolean;
}

const UNBOUNDED = /^(?:[*+]|\{\d*,\}|\{(?:\d*,)?\d{3,}\})/;

/** True if a group under an unbounded quantifier contains such a quantifier or alternatives (`(a+)+`, `(a|aa)*`). */
export function canExplode(source: string): boolean {
  const open: Group[] = [{ repeats: false, branches: false }];
  for (let at = 0; at < source.length;) {
    const here = open[open.length - 1];
    if (here === undefined) return false;
    const character = source[at];
    if (character === "\\") at += 2;
    else if (character === "[") at = endOfClass(source, at);
    else {
      if (character === "(") open.push({ repeats: false, branches: false });
      else if (character === "|") here.branches = true;
      else if (character === ")") {
        open.pop();
        const outer = open[open.length - 1];
        const repeated = UNBOUNDED.test(source.slice(at + 1, at + 12));
        if (repeated && (here.repeats || here.branches)) return true;
        if (outer !== undefined && (repeated || here.repeats)) outer.repeats = true;
        if (outer !== undefined && here.branches) outer.branches = true;
      } else if (UNBOUNDED.test(source.slice(at, at + 12))) here.repeats = true;
      at += 1;
    }
  }
  return false;
}

function endOfClass(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at += 1) {
    const character = source[at];
    if (character === "\\") at += 1;
    else if (character === "[") depth += 1;
    else if (
      character === "]" &&
      !(at === start + 1 || (at === start + 2 && source[start + 1] === "^")) &&
      --depth === 0
    )
      return at + 1;
  }
  return source.length;
}
