// Entries → typed values: unknown, refused and inert keys, types and ranges. Later entries win.
import { ConfigError, shown } from "./errors.ts";
import type { Entry } from "./file.ts";
import { inertKeys, type InertKey } from "./keys/inert.ts";
import { refusedKeys, renamedKeys, type RefusedKey } from "./keys/refused.ts";
import type { KeySpec } from "./kinds.ts";
import { nearest } from "./nearest.ts";
import { supportedKeys } from "./table.ts";
import { camelCase, type WrittenConfig } from "./written.ts";

export interface Checked {
  values: WrittenConfig;
  /** Where each key was written, for messages of later rules. */
  positions: ReadonlyMap<string, string>;
  warnings: string[];
}

/** Checks every entry on its own and fills in the plain defaults. Throws ConfigError. */
export function checkEntries(entries: readonly Entry[]): Checked {
  const written = new Map<string, unknown>();
  const positions = new Map<string, string>();
  const inert = new Map<string, InertKey>();
  for (const entry of entries) {
    const spec = supportedKeys.get(entry.key);
    if (spec) {
      written.set(entry.key, entry.value === null ? spec.default : checkValue(entry, spec));
      positions.set(entry.key, entry.valueAt);
    } else checkOther(entry, inert);
  }
  const pairs = [...supportedKeys].map(([key, spec]) => [
    camelCase(key),
    written.has(key) ? written.get(key) : structuredClone(spec.default),
  ]);
  return { values: Object.fromEntries(pairs) as WrittenConfig, positions, warnings: inertWarnings(inert) };
}

function checkValue(entry: Entry, spec: KeySpec<unknown>): unknown {
  const result = spec.schema.safeParse(spec.read(entry.value));
  if (result.success) return result.data;
  throw new ConfigError(
    "value",
    entry.valueAt,
    `${entry.key}: ${shown(entry.value)} is not allowed`,
    `use ${spec.allowed}`,
  );
}

function checkOther(entry: Entry, inert: Map<string, InertKey>): void {
  const idle = Object.hasOwn(inertKeys, entry.key) ? inertKeys[entry.key] : undefined;
  const refused = Object.hasOwn(refusedKeys, entry.key) ? refusedKeys[entry.key] : undefined;
  if (idle) checkInert(entry, idle, inert);
  else if (refused) checkRefused(entry, refused);
  else throw unknownKey(entry);
}

function checkInert(entry: Entry, idle: InertKey, inert: Map<string, InertKey>): void {
  const value = scalar(entry.value);
  if (value === null || value === false) return;
  if (idle.only && !idle.only.some((allowed) => same(allowed, value)))
    throw unsupported(entry, `use ${idle.only.map(String).join(", ")}`);
  if (!idle.only) inert.set(entry.key, idle);
}

function checkRefused(entry: Entry, { off, why }: RefusedKey): void {
  const value = scalar(entry.value);
  const asksNothing = value === null || value === false || value === "" || same(off, value);
  if (!asksNothing) throw unsupported(entry, `remove it: ${why}`);
}

function unsupported(entry: Entry, hint: string): ConfigError {
  const what = `${entry.key}: ${shown(entry.value)} is not supported by this version`;
  return new ConfigError("unsupported", entry.keyAt, what, hint);
}

function unknownKey(entry: Entry): ConfigError {
  const renamed = Object.hasOwn(renamedKeys, entry.key) ? renamedKeys[entry.key] : undefined;
  const meant = renamed ?? nearest(entry.key, [...supportedKeys.keys(), ...Object.keys(inertKeys)]);
  const hint = meant ? `did you mean ${meant}?` : "see `temper help keys`";
  return new ConfigError("unknown-key", entry.keyAt, `unknown key ${shown(entry.key)}`, hint);
}

/** The value behind a text form, for keys that have no schema of their own. */
function scalar(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const lower = value.toLowerCase();
  if (lower === "true" || lower === "false") return lower === "true";
  if (lower === "null" || lower === "none") return lower === "null" ? null : "none";
  return value.trim() !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function inertWarnings(inert: ReadonlyMap<string, InertKey>): string[] {
  const names = (why: InertKey["why"]): string =>
    [...inert].flatMap(([key, entry]) => (entry.why === why ? [key] : [])).join(", ");
  const parts = [
    names("f32") && `computed in f32: ${names("f32")}`,
    names("no effect") && `without effect here: ${names("no effect")}`,
  ].filter((part) => part !== "");
  return parts.length > 0 ? [`accepted, ${parts.join("; ")}`] : [];
}
