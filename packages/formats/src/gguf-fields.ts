// Typed access to GGUF metadata: a wrong type is a message that names the key.
import { FormatsError } from "./errors.ts";
import type { GgufField, GgufHeader, GgufValue } from "./gguf.ts";
import { printable } from "./printable.ts";

/** Metadata of one file. */
export interface GgufFields {
  file: string;
  metadata: GgufHeader["metadata"];
}

export function fieldError(fields: GgufFields, key: string, what: string): FormatsError {
  return new FormatsError("GGUF_METADATA", `${fields.file}:${key}`, what, "convert the model again");
}

function describe(field: GgufField): string {
  return field.type === "array"
    ? `an array of ${field.itemType}`
    : `${field.type} ${printable(String(field.value), 24)}`;
}

/** An integer 0 … 2^53 of any width. */
export function optionalInteger(fields: GgufFields, key: string): number | undefined {
  const field = fields.metadata.get(key);
  if (!field) return undefined;
  if (/^[ui]\d/.test(field.type) && typeof field.value === "number" && field.value >= 0) return field.value;
  throw fieldError(fields, key, `is ${describe(field)}, not a whole number`);
}

export function requiredInteger(fields: GgufFields, key: string): number {
  return optionalInteger(fields, key) ?? missing(fields, key);
}

export function optionalFloat(fields: GgufFields, key: string): number | undefined {
  const field = fields.metadata.get(key);
  if (!field) return undefined;
  if (/^f\d/.test(field.type) && typeof field.value === "number" && Number.isFinite(field.value)) return field.value;
  throw fieldError(fields, key, `is ${describe(field)}, not a finite float`);
}

export function optionalString(fields: GgufFields, key: string): string | undefined {
  const field = fields.metadata.get(key);
  if (!field) return undefined;
  if (typeof field.value === "string") return field.value;
  throw fieldError(fields, key, `is ${describe(field)}, not a string`);
}

export function optionalBoolean(fields: GgufFields, key: string): boolean | undefined {
  const field = fields.metadata.get(key);
  if (!field) return undefined;
  if (typeof field.value === "boolean") return field.value;
  throw fieldError(fields, key, `is ${describe(field)}, not a bool`);
}

export function optionalStrings(fields: GgufFields, key: string): string[] | undefined {
  return optionalItems(fields, key, ["string"]) as string[] | undefined;
}

/** An array whose item type is one of `types`. */
export function optionalItems(
  fields: GgufFields,
  key: string,
  types: readonly string[],
): readonly GgufValue[] | undefined {
  const field = fields.metadata.get(key);
  if (!field) return undefined;
  const isList = field.type === "array" && Array.isArray(field.value) && types.includes(field.itemType ?? "");
  if (isList) return field.value as readonly GgufValue[];
  throw fieldError(fields, key, `is ${describe(field)}, not an array of ${types.join(" or ")}`);
}

function missing(fields: GgufFields, key: string): never {
  throw fieldError(fields, key, "is missing");
}
