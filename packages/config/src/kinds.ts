// The kinds of value a key can have. Each gives a zod schema, the words for its range, and the reading of text forms:
// PyYAML takes 1e-4 for a string, so files in the wild quote numbers, and overrides on the command line are all text.
import { z } from "zod";
import type { JsonObject, JsonValue } from "./run-config.ts";

/** One key: what it may be, what it is without being written, and what it does. `default` is LlamaFactory's. */
export interface KeySpec<T> {
  readonly default: T;
  readonly help: string;
  /** The allowed values in words, as in "an integer from 1 to 64". */
  readonly allowed: string;
  readonly schema: z.ZodType<T>;
  /** Turns the text form of a value into the value; anything it does not know it returns unchanged. */
  readonly read: (raw: unknown) => unknown;
  /** A flag may stand alone on the command line: `--do_train`. */
  readonly isFlag: boolean;
}

interface Range {
  min: number;
  max: number;
  /** The lower bound itself is not allowed. */
  above?: boolean;
  /** The upper bound itself is not allowed. */
  below?: boolean;
}

const numberText = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const yes = new Set(["true", "yes", "y", "on", "1"]);
const no = new Set(["false", "no", "n", "off", "0"]);

function readNumber(raw: unknown): unknown {
  return typeof raw === "string" && numberText.test(raw.trim()) ? Number(raw) : raw;
}

function readFlag(raw: unknown): unknown {
  if (raw === 1) return true;
  if (raw === 0) return false;
  if (typeof raw !== "string") return raw;
  const word = raw.trim().toLowerCase();
  return yes.has(word) ? true : no.has(word) ? false : raw;
}

/** Texts that YAML reads as something else (a folder named 2024, a template named `on`) are texts again. */
function readText(raw: unknown): unknown {
  return typeof raw === "number" || typeof raw === "boolean" ? String(raw) : raw;
}

function readList(raw: unknown): unknown {
  const text = readText(raw);
  if (typeof text !== "string") return Array.isArray(text) ? text.map(readText) : text;
  const parsed = text.trim().startsWith("[") ? readJson(text) : text;
  if (Array.isArray(parsed)) return parsed.map(readText);
  return text.split(",").map((part) => part.trim());
}

function readJson(raw: unknown): unknown {
  if (typeof raw !== "string") return raw;
  try {
    return JSON.parse(raw) as unknown;
  } catch {
    return raw;
  }
}

function spec<T>(
  fallback: T,
  help: string,
  allowed: string,
  schema: z.ZodType<T>,
  read: KeySpec<T>["read"],
): KeySpec<T> {
  return { default: fallback, help, allowed, schema, read, isFlag: false };
}

function bounds({ min, max, above, below }: Range): string {
  const low = above ? `above ${min}` : `from ${min}`;
  return below ? `${low} to below ${max}` : `${low} to ${max}`;
}

/** The range as JSON Schema keywords, for editors. */
function bounded(schema: z.ZodNumber, { min, max, above, below }: Range): z.ZodNumber {
  const low = above ? schema.gt(min) : schema.gte(min);
  return below ? low.lt(max) : low.lte(max);
}

export function integer(fallback: number, range: Range, help: string): KeySpec<number> {
  return spec(fallback, help, `an integer ${bounds(range)}`, bounded(z.int(), range), readNumber);
}

/** One of few numbers. */
export function oneOf<const T extends number>(values: readonly T[], help: string): KeySpec<T> {
  const fallback = values[0] as T;
  return spec(fallback, help, `one of ${values.join(", ")}`, z.literal(values as [T, ...T[]]), readNumber);
}

export function real(fallback: number, range: Range, help: string): KeySpec<number> {
  return spec(fallback, help, `a number ${bounds(range)}`, bounded(z.number(), range), readNumber);
}

/** A fraction below 1, or a whole number from 1. */
export function fractionOrCount(fallback: number, help: string): KeySpec<number> {
  const whole = (value: number): boolean => value < 1 || Number.isInteger(value);
  const schema = bounded(z.number(), { min: 0, max: 1e12 }).refine(whole);
  return spec(fallback, help, "a fraction below 1 or a whole number from 0 to 1000000000000", schema, readNumber);
}

/** −1 for "not set", or a whole number from 1. */
export function countOrMinusOne(help: string): KeySpec<number> {
  const schema = bounded(z.int(), { min: -1, max: 1e12 }).refine((value) => value !== 0);
  return spec(-1, help, "-1 or an integer from 1 to 1000000000000", schema, readNumber);
}

export function flag(fallback: boolean, help: string): KeySpec<boolean> {
  return { ...spec(fallback, help, "true or false", z.boolean(), readFlag), isFlag: true };
}

export function choice<const T extends string>(fallback: T, values: readonly T[], help: string): KeySpec<T> {
  const schema = z.enum(values as [T, ...T[]]) as unknown as z.ZodType<T>;
  // YAML reads the word `no` as a text, but PyYAML and people read it as false.
  const read = (raw: unknown): unknown => (raw === false && values.includes("no" as T) ? "no" : readText(raw));
  return spec(fallback, help, `one of ${values.join(", ")}`, schema, read);
}

const printable = (text: string): boolean => !text.includes("\0");

export function text(help: string, maxLength = 4096): KeySpec<string> {
  const schema = z.string().min(1).max(maxLength).refine(printable);
  return spec("", help, `a text of 1 to ${maxLength} characters`, schema, readText);
}

/** The default of a text that always has a value. */
export function textOr(fallback: string, help: string): KeySpec<string> {
  return { ...text(help), default: fallback };
}

/** A comma list, or a YAML list, of texts. */
export function list(fallback: readonly string[], help: string): KeySpec<string[]> {
  const schema = z.array(z.string().min(1).max(4096).refine(printable)).max(10_000);
  return spec([...fallback], help, "a list of texts, or one text with commas", schema, readList);
}

const jsonValue: z.ZodType<JsonValue> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(jsonValue), z.record(z.string(), jsonValue)]),
);

export function mapping(help: string): KeySpec<JsonObject> {
  const schema = z.record(z.string(), jsonValue) as z.ZodType<JsonObject>;
  return spec({}, help, "a mapping, or its JSON text", schema, readJson);
}

/** The same key with "not set" allowed and as the default. */
export function optional<T>(inner: KeySpec<T>): KeySpec<T | undefined> {
  const schema: z.ZodType<T | undefined> = inner.schema.optional();
  return { ...inner, default: undefined, schema };
}
