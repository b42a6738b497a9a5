import { isJsonObject, type JsonObject, type JsonValue, parseJsonObject } from "@welltempered/formats";

import { DataError, kindOf, quote } from "../errors.ts";
import type { DataFolder } from "../read/folder.ts";

const MAX_BYTES = 16 << 20;

/** A parsed `dataset_info.json` that can say on which line a key stands. */
export interface InfoFile {
  path: string;
  text: string;
  datasets: JsonObject;
}

/** `dataset_info.json` of a folder; undefined if there is none. */
export function readInfoFile(folder: DataFolder): InfoFile | undefined {
  const [path, text] = [folder.infoPath, folder.infoText()];
  if (text === undefined) return undefined;
  return {
    path,
    text,
    datasets: parseJsonObject(text, { file: path, maxBytes: MAX_BYTES, bom: "skip" }),
  };
}

/** One object of an entry, with checked access to its keys. */
export class InfoObject {
  private readonly info: InfoFile;
  private readonly object: JsonObject;
  private readonly name: string;
  private readonly offset: number;

  constructor(info: InfoFile, object: JsonObject, name: string, offset: number) {
    this.info = info;
    this.object = object;
    this.name = name;
    this.offset = offset;
  }

  keys(): string[] {
    return Object.keys(this.object);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.object, key) && this.object[key] !== null;
  }

  string(key: string): string | undefined {
    return this.typed(key, "a string", (value) => typeof value === "string" && value !== "") as string | undefined;
  }

  boolean(key: string): boolean {
    return this.typed(key, "true or false", (value) => typeof value === "boolean") === true;
  }

  count(key: string): number | undefined {
    return this.typed(key, "a whole number above 0", (v) => Number.isSafeInteger(v) && Number(v) > 0) as
      | number
      | undefined;
  }

  child(key: string): InfoObject | undefined {
    const value = this.typed(key, "an object", (v) => isJsonObject(v));
    if (!isJsonObject(value)) return undefined;
    return new InfoObject(this.info, value, `${this.name}.${key}`, this.offsetOf(key));
  }

  error(key: string, what: string, hint: string): DataError {
    return new DataError("registry", `${this.info.path}:${this.lineOf(key)}`, `${this.name}.${key} ${what}`, hint);
  }

  private typed(key: string, wanted: string, test: (value: JsonValue) => boolean): JsonValue | undefined {
    const value = this.object[key];
    if (value === undefined || value === null) return undefined;
    if (test(value)) return value;
    const got = typeof value === "string" ? quote(value) : kindOf(value);
    throw this.error(key, `is ${got}`, `give ${wanted}`);
  }

  private offsetOf(key: string): number {
    const at = offsetOfKey(this.info.text, key, this.offset);
    return at < 0 ? this.offset : at;
  }

  private lineOf(key: string): number {
    return this.info.text.slice(0, this.offsetOf(key)).split("\n").length;
  }
}

/** Where `"key":` first stands at or after an offset, or −1. */
function offsetOfKey(text: string, key: string, from: number): number {
  const quoted = JSON.stringify(key);
  for (let at = text.indexOf(quoted, from); at >= 0; at = text.indexOf(quoted, at + 1)) {
    if (/^\s*:/.test(text.slice(at + quoted.length, at + quoted.length + 64))) return at;
  }
  return -1;
}

/** The entry of a dataset, or undefined if the file does not name it. */
export function findEntry(info: InfoFile, name: string): InfoObject | undefined {
  const value = info.datasets[name];
  if (value === undefined) return undefined;
  const offset = Math.max(0, offsetOfKey(info.text, name, 0));
  if (isJsonObject(value)) return new InfoObject(info, value, quote(name), offset);
  const line = info.text.slice(0, offset).split("\n").length;
  throw new DataError(
    "registry",
    `${info.path}:${line}`,
    `${quote(name)} is ${kindOf(value)}`,
    "give an object with file_name",
  );
}
