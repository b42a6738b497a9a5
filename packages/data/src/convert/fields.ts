import { isJsonObject, type JsonObject, type JsonValue } from "@welltempered/formats";

import { DataError, kindOf, quote } from "../errors.ts";

const HALF_OF_A_PAIR = /\p{Surrogate}/u;

/** Checked access to the fields of one row; an error names the row and the key. */
export class Fields {
  readonly place: string;
  private readonly row: JsonObject;
  private readonly path: string;

  constructor(row: JsonObject, place: string, path = "") {
    this.row = row;
    this.place = place;
    this.path = path;
  }

  /** The value, null where there is none. */
  value(key: string): JsonValue {
    return this.row[key] ?? null;
  }

  text(key: string): string {
    const value = this.row[key];
    return typeof value === "string" ? this.checked(key, value) : this.refuse(key, value, "give a string");
  }

  /** "" where the field is missing or null. */
  optionalText(key: string | undefined): string {
    return key === undefined || this.value(key) === null ? "" : this.text(key);
  }

  list(key: string): JsonValue[] {
    const value = this.row[key];
    return Array.isArray(value) ? value : this.refuse(key, value, "give a list");
  }

  /** An object inside the row. */
  object(key: string): Fields {
    const value = this.row[key];
    if (isJsonObject(value)) return new Fields(value, this.place, `${this.path}${key}.`);
    return this.refuse(key, value, "give an object");
  }

  /** The objects of a list, each with its own place in messages. */
  objects(key: string): Fields[] {
    return this.list(key).map((item, index) => {
      const path = `${this.path}${key}[${index}]`;
      if (isJsonObject(item)) return new Fields(item, this.place, `${path}.`);
      throw this.error(path, `is ${kindOf(item)}`, "give an object");
    });
  }

  /** A fault of the field itself. */
  fault(key: string, what: string, hint: string): DataError {
    return this.error(`${this.path}${key}`, what, hint);
  }

  checked(key: string, text: string): string {
    if (HALF_OF_A_PAIR.test(text)) throw this.fault(key, "holds half of a surrogate pair", "correct the text");
    return text;
  }

  private refuse(key: string, value: JsonValue | undefined, hint: string): never {
    throw this.fault(key, value === undefined ? "is missing" : `is ${kindOf(value)}`, hint);
  }

  private error(path: string, what: string, hint: string): DataError {
    return new DataError("row", this.place, `${quote(path)} ${what}`, hint);
  }
}
