// Tool calls are re-written as Python's json does it. Parsing with JSON.parse would lose what the text must keep: 1.0 is
// not 1, and keys that look like numbers keep their place.
import { pythonFloat } from "@welltempered/formats";

/** A JSON value with numbers as Python would print them and keys in their order. */
export type Json =
  | { kind: "object"; entries: ReadonlyMap<string, Json> }
  | { kind: "array"; items: readonly Json[] }
  | { kind: "string"; text: string }
  | { kind: "plain"; text: string };

const MAX_DEPTH = 200;
const TOKEN =
  // oxlint-disable-next-line no-control-regex
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/y;

/** Reads JSON text; undefined where it is not JSON. */
export function parsePythonJson(text: string): Json | undefined {
  const reader = new Reader(text);
  const value = reader.value(0);
  return value !== undefined && reader.atEnd() ? value : undefined;
}

class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  atEnd(): boolean {
    return this.text.slice(this.at).trim() === "";
  }

  private next(): RegExpExecArray | undefined {
    TOKEN.lastIndex = this.at;
    const match = TOKEN.exec(this.text) ?? undefined;
    if (match !== undefined) this.at = TOKEN.lastIndex;
    return match;
  }

  private accept(mark: string): boolean {
    const before = this.at;
    if (this.next()?.[1] === mark) return true;
    this.at = before;
    return false;
  }

  value(depth: number): Json | undefined {
    const [, mark, quoted, number, word] = this.next() ?? [];
    if (depth > MAX_DEPTH) return undefined;
    if (quoted !== undefined) return { kind: "string", text: JSON.parse(quoted) as string };
    if (number !== undefined) return { kind: "plain", text: pythonNumber(number) };
    if (word !== undefined) return { kind: "plain", text: word };
    if (mark === "{") return this.object(depth + 1);
    return mark === "[" ? this.array(depth + 1) : undefined;
  }

  private object(depth: number): Json | undefined {
    const entries = new Map<string, Json>();
    if (this.accept("}")) return { kind: "object", entries };
    do {
      const quoted = this.next()?.[2];
      const value = quoted !== undefined && this.accept(":") ? this.value(depth) : undefined;
      if (quoted === undefined || value === undefined) return undefined;
      entries.set(JSON.parse(quoted) as string, value);
    } while (this.accept(","));
    return this.accept("}") ? { kind: "object", entries } : undefined;
  }

  private array(depth: number): Json | undefined {
    const items: Json[] = [];
    if (this.accept("]")) return { kind: "array", items };
    do {
      const value = this.value(depth);
      if (value === undefined) return undefined;
      items.push(value);
    } while (this.accept(","));
    return this.accept("]") ? { kind: "array", items } : undefined;
  }
}

function pythonNumber(text: string): string {
  if (/[.eE]/.test(text)) return pythonFloat(Number(text));
  return text === "-0" ? "0" : text;
}

/** The text of `json.dumps(value, ensure_ascii=False, indent=indent)`. */
export function writePythonJson(value: Json, indent = 0, pad = ""): string {
  switch (value.kind) {
    case "string":
      return JSON.stringify(value.text);
    case "plain":
      return value.text;
    case "array":
      return enclose(
        "[",
        value.items.map((item) => writePythonJson(item, indent, pad + " ".repeat(indent))),
        "]",
        indent,
        pad,
      );
    case "object": {
      const inner = pad + " ".repeat(indent);
      const texts = Array.from(
        value.entries,
        ([key, item]) => `${JSON.stringify(key)}: ${writePythonJson(item, indent, inner)}`,
      );
      return enclose("{", texts, "}", indent, pad);
    }
    default:
      return value satisfies never;
  }
}

function enclose(open: string, texts: readonly string[], close: string, indent: number, pad: string): string {
  if (texts.length === 0) return open + close;
  if (indent === 0) return open + texts.join(", ") + close;
  const inner = `\n${pad}${" ".repeat(indent)}`;
  return `${open}${inner}${texts.join(`,${inner}`)}\n${pad}${close}`;
}

export function object(entries: Iterable<readonly [string, Json]>): Json {
  return { kind: "object", entries: new Map(entries) };
}

export function string(text: string): Json {
  return { kind: "string", text };
}

/** A member of an object. */
export function member(value: Json | undefined, key: string): Json | undefined {
  return value?.kind === "object" ? value.entries.get(key) : undefined;
}

/** The text of a string, or "" for what is no string. */
export function textOf(value: Json | undefined): string {
  return value?.kind === "string" ? value.text : "";
}
