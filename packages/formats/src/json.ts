// A strict JSON parser for files nobody vouches for. Unlike JSON.parse it refuses duplicate keys, keeps integers beyond
// 2^53 exact (bigint), bounds the nesting, refuses numbers that overflow, names the place of an error, and returns
// objects without a prototype, so that a key `__proto__` is an ordinary key.
import { FormatsError } from "./errors.ts";
import { printable } from "./printable.ts";

export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;
/** An object without a prototype: every key is data. */
export interface JsonObject {
  [key: string]: JsonValue;
}

export interface JsonOptions {
  /** Name for messages. */
  file: string;
  /** Line number of the first line, for a text cut out of a larger file. */
  line?: number;
  /** Deepest nesting of arrays and objects. */
  maxDepth?: number;
  /** Largest text in bytes of UTF-8 (UTF-16 units where a string is given). */
  maxBytes?: number;
  /** Whether a byte order mark at the start is skipped. */
  bom?: "reject" | "skip";
}

/** Settings that only the formats of this package need. */
export interface TreeOptions extends JsonOptions {
  /** Map instead of objects: keeps the order of keys that look like numbers. */
  maps?: boolean;
  /** Numbers with a fraction or an exponent become JsonFloat, so that 1 and 1.0 differ. */
  markFloats?: boolean;
  /** Refuse `\ud800` without its other half. */
  strictSurrogates?: boolean;
  /** With `maps`: takes the place of each value of the outermost object as soon as it is read. */
  replace?: (key: string, value: unknown) => unknown;
}

/** A number literal that is not written as an integer. */
export interface JsonFloat {
  float: number;
}

interface Cursor extends TreeOptions {
  text: string;
  at: number;
  depth: number;
  limit: number;
}

/** Any JSON value; throws a one-line UserError that names line and column. */
export function parseJson(input: string | Uint8Array, options: JsonOptions): JsonValue {
  return parseTree(input, options) as JsonValue;
}

/** As parseJson, but the text must hold an object. */
export function parseJsonObject(input: string | Uint8Array, options: JsonOptions): JsonObject {
  const value = parseJson(input, options);
  if (isJsonObject(value)) return value;
  throw new FormatsError(
    "JSON",
    `${options.file}:${options.line ?? 1}`,
    `holds ${describe(value)} where an object is needed`,
    "check that it is the right file",
  );
}

/** True for an object, not for an array or null. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: JsonValue): string {
  if (Array.isArray(value)) return "an array";
  return value === null ? "null" : `a ${typeof value === "bigint" ? "number" : typeof value}`;
}

export function parseTree(input: string | Uint8Array, options: TreeOptions): unknown {
  const max = options.maxBytes ?? Infinity;
  if (input.length > max)
    throw new FormatsError(
      "JSON",
      options.file,
      `${input.length} bytes, more than the ${max} allowed`,
      "check that it is the right file",
    );
  const text = typeof input === "string" ? input : decodeUtf8(input, options.file);
  const cursor: Cursor = { ...options, text, at: 0, depth: 0, limit: options.maxDepth ?? 128 };
  skipBom(cursor);
  const value = readValue(cursor);
  skipSpace(cursor);
  if (cursor.at < text.length) fail(cursor, `unexpected ${found(cursor)} after the end of the value`);
  return value;
}

/** Text of UTF-8 bytes, a byte order mark kept; throws on the first invalid byte. */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FormatsError("JSON", file, "is not UTF-8 text", "save it as UTF-8");
  }
}

function skipBom(c: Cursor): void {
  if (c.text.charCodeAt(0) !== 0xfeff) return;
  if (c.bom !== "skip") fail(c, "starts with a byte order mark", "save it as UTF-8 without BOM");
  c.at = 1;
}

function readValue(c: Cursor): unknown {
  skipSpace(c);
  switch (c.text.charCodeAt(c.at)) {
    case 0x7b:
      return readObject(c);
    case 0x5b:
      return readArray(c);
    case 0x22:
      return readString(c);
    case 0x74:
      return readWord(c, "true", true);
    case 0x66:
      return readWord(c, "false", false);
    case 0x6e:
      return readWord(c, "null", null);
    default:
      return readNumber(c);
  }
}

function readObject(c: Cursor): unknown {
  enter(c);
  const result = c.maps ? readPairsIntoMap(c, new Map()) : readPairsIntoObject(c, Object.create(null));
  c.depth--;
  return result;
}

function readPairsIntoObject(c: Cursor, object: Record<string, unknown>): Record<string, unknown> {
  if (closes(c, 0x7d)) return object;
  do {
    const start = c.at;
    const key = readKey(c);
    if (key in object) duplicate(c, start, key);
    object[key] = readValue(c);
  } while (continues(c, 0x7d, "}"));
  return object;
}

function readPairsIntoMap(c: Cursor, map: Map<string, unknown>): Map<string, unknown> {
  if (closes(c, 0x7d)) return map;
  do {
    const start = c.at;
    const key = readKey(c);
    if (map.has(key)) duplicate(c, start, key);
    const value = readValue(c);
    map.set(key, c.replace !== undefined && c.depth === 1 ? c.replace(key, value) : value);
  } while (continues(c, 0x7d, "}"));
  return map;
}

/** A key and its colon. */
function readKey(c: Cursor): string {
  skipSpace(c);
  if (c.text.charCodeAt(c.at) !== 0x22) fail(c, `expected a key but found ${found(c)}`);
  const key = readString(c);
  skipSpace(c);
  if (c.text.charCodeAt(c.at) !== 0x3a) fail(c, `expected ":" but found ${found(c)}`);
  c.at++;
  return key;
}

function readArray(c: Cursor): unknown[] {
  enter(c);
  const items: unknown[] = [];
  if (!closes(c, 0x5d)) {
    do items.push(readValue(c));
    while (continues(c, 0x5d, "]"));
  }
  c.depth--;
  return items;
}

function enter(c: Cursor): void {
  if (++c.depth > c.limit) fail(c, `nested deeper than ${c.limit} levels`, "flatten it");
  c.at++;
}

/** Whether the bracket that was just opened closes at once. */
function closes(c: Cursor, close: number): boolean {
  skipSpace(c);
  if (c.text.charCodeAt(c.at) !== close) return false;
  c.at++;
  return true;
}

/** Whether another item follows; passes the comma or the closing bracket. */
function continues(c: Cursor, close: number, name: string): boolean {
  skipSpace(c);
  const code = c.text.charCodeAt(c.at);
  if (code !== 0x2c && code !== close) fail(c, `expected "," or "${name}" but found ${found(c)}`);
  c.at++;
  return code === 0x2c;
}

function duplicate(c: Cursor, start: number, key: string): never {
  c.at = start;
  skipSpace(c);
  return fail(c, `key "${printable(key)}" occurs twice`, "remove one");
}

function skipSpace(c: Cursor): void {
  for (;;) {
    const code = c.text.charCodeAt(c.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    c.at++;
  }
}

function readWord<T>(c: Cursor, word: string, value: T): T {
  if (!c.text.startsWith(word, c.at)) fail(c, `unexpected ${found(c)}`);
  c.at += word.length;
  return value;
}

const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const integer = /^-?[0-9]+$/;

function readNumber(c: Cursor): number | bigint | JsonFloat {
  number.lastIndex = c.at;
  const match = number.exec(c.text);
  if (!match) return fail(c, `expected a value but found ${found(c)}`);
  const value = Number(match[0]);
  if (!Number.isFinite(value)) fail(c, `number ${printable(match[0], 24)} is out of range`);
  c.at += match[0].length;
  const isInteger = integer.test(match[0]) && !Object.is(value, -0);
  if (!isInteger) return c.markFloats ? { float: value } : value;
  return Number.isSafeInteger(value) ? value : exactInteger(c, match[0]);
}

// BigInt() is quadratic in the digits; no integer in a file worth reading has more than a few dozen.
function exactInteger(c: Cursor, digits: string): bigint {
  return digits.length > 320 ? fail(c, `number of ${digits.length} digits`) : BigInt(digits);
}

function readString(c: Cursor): string {
  const start = ++c.at;
  for (;;) {
    const code = c.text.charCodeAt(c.at);
    if (code === 0x22) return c.text.slice(start, c.at++);
    if (code === 0x5c) return readEscapedString(c, start);
    checkCharacter(c, code);
    c.at++;
  }
}

function checkCharacter(c: Cursor, code: number): void {
  if (code >= 0x20) return;
  if (Number.isNaN(code)) fail(c, "the text ends inside a string", "the file is cut short: fetch it again");
  fail(c, "control character in a string", "write it as an escape");
}

function readEscapedString(c: Cursor, start: number): string {
  const parts: string[] = [c.text.slice(start, c.at)];
  for (;;) {
    const code = c.text.charCodeAt(c.at);
    if (code === 0x5c) {
      parts.push(readEscape(c));
      continue;
    }
    if (code === 0x22) break;
    parts.push(readPlainRun(c));
  }
  c.at++;
  return parts.join("");
}

function readPlainRun(c: Cursor): string {
  const start = c.at;
  for (;;) {
    const code = c.text.charCodeAt(c.at);
    if (code === 0x22 || code === 0x5c) return c.text.slice(start, c.at);
    checkCharacter(c, code);
    c.at++;
  }
}

const escapes = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

function readEscape(c: Cursor): string {
  const letter = c.text.charAt(c.at + 1);
  if (letter === "u") return readUnicodeEscape(c);
  const value = escapes.get(letter);
  if (value === undefined) return fail(c, "invalid escape in a string");
  c.at += 2;
  return value;
}

function readUnicodeEscape(c: Cursor): string {
  const first = hex4(c, c.at + 2);
  const isHigh = first >= 0xd800 && first < 0xdc00;
  const second = isHigh && c.text.startsWith("\\u", c.at + 6) ? hex4(c, c.at + 8) : 0;
  const isPair = second >= 0xdc00 && second < 0xe000;
  if (c.strictSurrogates && !isPair && first >= 0xd800 && first < 0xe000)
    fail(c, "half of a surrogate pair in a string");
  c.at += isPair ? 12 : 6;
  return isPair ? String.fromCharCode(first, second) : String.fromCharCode(first);
}

function hex4(c: Cursor, at: number): number {
  const digits = c.text.slice(at, at + 4);
  return /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : fail(c, "invalid \\u escape in a string");
}

function found(c: Cursor): string {
  if (c.at >= c.text.length) return "the end of the text";
  return `"${printable(String.fromCodePoint(c.text.codePointAt(c.at) ?? 0))}"`;
}

function fail(c: Cursor, what: string, hint = "correct the JSON"): never {
  const before = c.text.slice(0, c.at);
  const line = (c.line ?? 1) + (before.match(/\n/g)?.length ?? 0);
  const column = c.at - (before.lastIndexOf("\n") + 1) + 1;
  throw new FormatsError("JSON", `${c.file}:${line}:${column}`, what, hint);
}
