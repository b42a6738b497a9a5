// JSON text: exact for bigint, and on request character for character what Python's json.dumps writes, so that files
// made here compare equal to those of transformers and peft.

export interface JsonWriteOptions {
  /** Spaces a level; 0 = one line. */
  indent?: number;
  sortKeys?: boolean;
  /** As json.dumps: ", " and ": " on one line, non-ASCII escaped, floats as Python prints them. */
  python?: boolean;
  /** Keys whose numbers are floats in Python: 0 is written 0.0. */
  floatKeys?: ReadonlySet<string>;
}

/** Text of a JSON-like value; keys that are undefined are left out; NaN and infinities throw a RangeError. */
export function writeJson(value: unknown, options: JsonWriteOptions = {}): string {
  return write(value, options, "", "");
}

function write(value: unknown, o: JsonWriteOptions, key: string, pad: string): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return writeNumber(value, o, key);
  if (typeof value === "string") return writeString(value, o);
  if (Array.isArray(value))
    return writeItems(
      value.map((item) => [item, ""] as const),
      o,
      key,
      pad,
      "[",
      "]",
    );
  if (typeof value === "object") return writeItems(entries(value, o), o, key, pad, "{", "}");
  throw new TypeError(`a ${typeof value} has no JSON form (key "${key}")`);
}

type Item = readonly [value: unknown, label: string];

function entries(value: object, o: JsonWriteOptions): Item[] {
  const pairs = (value instanceof Map ? [...value] : Object.entries(value)).filter(
    ([, item]) => item !== undefined,
  ) as [string, unknown][];
  if (o.sortKeys) pairs.sort(([a], [b]) => compareCodePoints(a, b));
  return pairs.map(([name, item]) => [item, name]);
}

function writeItems(
  items: readonly Item[],
  o: JsonWriteOptions,
  key: string,
  pad: string,
  open: string,
  close: string,
): string {
  if (items.length === 0) return open + close;
  const inner = pad + " ".repeat(o.indent ?? 0);
  const isObject = open === "{";
  const colon = o.indent || o.python ? ": " : ":";
  const texts = items.map(([item, name]) =>
    isObject ? writeString(name, o) + colon + write(item, o, name, inner) : write(item, o, key, inner),
  );
  if (!o.indent) return open + texts.join(o.python ? ", " : ",") + close;
  return `${open}\n${inner}${texts.join(`,\n${inner}`)}\n${pad}${close}`;
}

function writeNumber(value: number, o: JsonWriteOptions, key: string): string {
  if (!Number.isFinite(value)) throw new RangeError(`${value} has no JSON form (key "${key}")`);
  if (Number.isSafeInteger(value) && !o.floatKeys?.has(key)) return String(value);
  return o.python ? pythonFloat(value) : String(value);
}

/** repr() of a Python float: exponent form below 1e-4 and from 1e16 on, at least two exponent digits. */
export function pythonFloat(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [mantissa = "", exponent = ""] = value.toExponential().split("e");
    return `${mantissa}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, "0")}`;
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return text.includes(".") ? text : `${text}.0`;
}

function writeString(text: string, o: JsonWriteOptions): string {
  const json = JSON.stringify(text);
  return o.python ? json.replace(/[\u007f-\uffff]/g, escapeUnit) : json;
}

function escapeUnit(unit: string): string {
  const code = unit.charCodeAt(0);
  return code === 0x7f ? unit : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Python sorts by code point, JavaScript by UTF-16 unit; they differ above U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
