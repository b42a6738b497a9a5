// Reads single values of an untrusted config.json record. Every limit is far above any published model.

import { ModelConfigError } from "./errors.ts";

export type ConfigRecord = Readonly<Record<string, unknown>>;

export function integerField(
  config: ConfigRecord,
  key: string,
  fallback?: number,
  max: number = 1 << 24,
  min: number = 1,
): number {
  const value = config[key] ?? fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw new ModelConfigError(key, `is ${show(value)}; it must be a whole number from ${min} to ${max}`);
  }
  return value;
}

export function numberField(config: ConfigRecord, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    throw new ModelConfigError(key, `is ${show(value)}; it must be a positive number`);
  }
  return value;
}

export function numbersField(config: ConfigRecord, key: string): number[] {
  const value = config[key];
  const good = (each: unknown): each is number => typeof each === "number" && Number.isFinite(each) && each > 0;
  if (!Array.isArray(value) || !value.every(good))
    throw new ModelConfigError(key, `is ${show(value)}; it must be a list of positive numbers`);
  return value;
}

export function booleanField(config: ConfigRecord, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value !== "boolean") throw new ModelConfigError(key, `is ${show(value)}; it must be true or false`);
  return value;
}

/** A key that may only be missing or hold this value: another would change the maths. */
export function onlyField(config: ConfigRecord, key: string, supported: string | number | boolean): void {
  const value = config[key] ?? supported;
  if (value !== supported) throw new ModelConfigError(key, `is ${show(value)}; supported is ${show(supported)}`);
}

export function recordField(config: ConfigRecord, key: string): ConfigRecord | undefined {
  const value = config[key] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ModelConfigError(key, `is ${show(value)}; it must be an object`);
  return value as ConfigRecord;
}

export const show = (value: unknown): string =>
  value === undefined ? "missing" : (JSON.stringify(value, jsonSafe)?.slice(0, 40) ?? typeof value);

const jsonSafe = (_: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);
