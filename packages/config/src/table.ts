// Every key in one table, and the schema that follows from it.
import { z } from "zod";
import { dataKeys } from "./keys/data.ts";
import { finetuningKeys } from "./keys/finetuning.ts";
import { generatingKeys } from "./keys/generating.ts";
import { inertKeys } from "./keys/inert.ts";
import { machineKeys } from "./keys/machine.ts";
import { modelKeys } from "./keys/model.ts";
import { refusedKeys } from "./keys/refused.ts";
import { trainingKeys } from "./keys/training.ts";
import type { KeySpec } from "./kinds.ts";
import type { KeyTable, WrittenConfig } from "./written.ts";

/** The supported keys by group, in the order of the help text. */
export const keyGroups: Readonly<Record<string, Readonly<Record<string, KeySpec<unknown>>>>> = {
  model: modelKeys as Record<string, KeySpec<unknown>>,
  data: dataKeys as Record<string, KeySpec<unknown>>,
  finetuning: finetuningKeys as Record<string, KeySpec<unknown>>,
  training: trainingKeys as Record<string, KeySpec<unknown>>,
  generating: generatingKeys as Record<string, KeySpec<unknown>>,
  machine: machineKeys as Record<string, KeySpec<unknown>>,
};

/** Every supported key by its YAML name. */
export const supportedKeys: ReadonlyMap<string, KeySpec<unknown>> = new Map(
  Object.values(keyGroups).flatMap((group) => Object.entries(group)),
);

export type SupportedKey = keyof KeyTable<WrittenConfig>;

/** JSON Schema of a configuration file, for editors: `# yaml-language-server: $schema=…`. */
export function jsonSchema(): Record<string, unknown> {
  const shape: Record<string, z.ZodType> = {};
  for (const [key, { schema, help, allowed }] of supportedKeys)
    shape[key] = schema.nullish().describe(`${help} Allowed: ${allowed}.`);
  for (const key of Object.keys(inertKeys)) shape[key] = z.unknown().optional().describe("Accepted without effect.");
  return z.toJSONSchema(z.strictObject(shape), { io: "input", unrepresentable: "any" }) as Record<string, unknown>;
}

/** One paragraph about a key, or undefined for an unknown one. */
export function help(key: string): string | undefined {
  const spec = supportedKeys.get(key);
  if (spec) return `${key}: ${spec.help} Allowed: ${spec.allowed}. Default: ${defaultText(spec)}.`;
  const inert = inertKeys[key];
  if (inert) return `${key}: accepted ${inert.why === "f32" ? "and computed in f32" : "without effect"}.`;
  const refused = refusedKeys[key];
  return refused && `${key}: not supported by this version: ${refused.why}.`;
}

function defaultText({ default: value }: KeySpec<unknown>): string {
  if (value === undefined || value === "") return "none";
  return Array.isArray(value) ? value.join(",") || "none" : String(value);
}
