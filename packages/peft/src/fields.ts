// Reads single values of an untrusted adapter_config.json.

import { AdapterError } from "./errors.ts";
import type { Json } from "./method.ts";

/** Fields that change a method are accepted only at the values that mean its plain form. @throws {AdapterError} */
export function onlyPlain(json: Json, plain: Readonly<Record<string, readonly unknown[]>>, known: string): void {
  for (const [key, allowed] of Object.entries(plain)) {
    const value = json[key];
    const empty = Array.isArray(value) && value.length === 0;
    if (value !== undefined && value !== null && !empty && !allowed.includes(value))
      throw new AdapterError(`${key} is ${JSON.stringify(value).slice(0, 60)}; this version knows ${known} only`);
  }
}

export function positive(json: Json, key: string): number {
  const value = json[key];
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0)
    throw new AdapterError(`${key} is ${JSON.stringify(value)}; it must be above 0`);
  return value;
}

/** A whole number of at least 1. */
export function count(json: Json, key: string, max = 65_536): number {
  const value = json[key];
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > max)
    throw new AdapterError(`${key} is ${JSON.stringify(value)}; it must be a whole number from 1 to ${max}`);
  return value;
}

export function fraction(json: Json, key: string): number {
  const value = json[key] ?? 0;
  if (typeof value !== "number" || !(value >= 0 && value < 1))
    throw new AdapterError(`${key} is ${JSON.stringify(value)}; it must be from 0 to below 1`);
  return value;
}

/** A whole number of at least `min`; `fallback` where the key is missing. */
export function whole(json: Json, key: string, { fallback, min }: { fallback: number; min: number }): number {
  const value = json[key] ?? fallback;
  if (!Number.isSafeInteger(value) || (value as number) < min)
    throw new AdapterError(`${key} is ${JSON.stringify(value)}; it must be a whole number from ${min}`);
  return value as number;
}

export function flag(json: Json, key: string, fallback: boolean): boolean {
  const value = json[key] ?? fallback;
  if (typeof value !== "boolean")
    throw new AdapterError(`${key} is ${JSON.stringify(value)}; it must be true or false`);
  return value;
}

export function names(value: unknown, key: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string"))
    throw new AdapterError(`${key} must be a list of module names`);
  return value as string[];
}

export function targets(value: unknown): readonly string[] | "all-linear" {
  if (value === "all-linear") return value;
  if (typeof value === "string")
    throw new AdapterError(
      `target_modules is the pattern ${JSON.stringify(value).slice(0, 60)}; give a list of names or "all-linear"`,
    );
  const list = names(value, "target_modules");
  if (list.length === 0) throw new AdapterError("target_modules is empty; name at least one projection");
  return list;
}

export function pattern(json: Json, key: string): Readonly<Record<string, number>> {
  const value = json[key] ?? {};
  if (
    typeof value !== "object" ||
    value === null ||
    Object.values(value).some((item) => typeof item !== "number" || item <= 0)
  ) {
    throw new AdapterError(`${key} must map module names to numbers above 0`);
  }
  return value as Record<string, number>;
}
