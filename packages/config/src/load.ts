import { readArguments } from "./arguments.ts";
import { checkEntries } from "./check.ts";
import { parseConfigText, type Entry } from "./file.ts";
import { checkRules, resolve, type Purpose } from "./rules.ts";
import type { RunConfig } from "./run-config.ts";

export interface LoadedConfig {
  config: RunConfig;
  /** One line each, to be shown once. */
  warnings: string[];
}

/**
 * Reads a command line such as `["lora.yaml", "learning_rate=1e-4"]` into a checked configuration.
 * Throws ConfigError, which says where and what to do.
 */
export function loadConfig(words: readonly string[], purpose: Purpose = "train"): LoadedConfig {
  return fromEntries(readArguments(words), purpose);
}

/** The same from an object with the YAML's keys. */
export function makeConfig(settings: Readonly<Record<string, unknown>>, purpose: Purpose = "train"): LoadedConfig {
  return fromEntries(entriesOf(settings), purpose);
}

/** The same from the text of a YAML file; `settings` come after it and win. `path` names it in messages. */
export function configFromText(
  text: string,
  path: string,
  settings: Readonly<Record<string, unknown>> = {},
  purpose: Purpose = "train",
): LoadedConfig {
  return fromEntries([...parseConfigText(text, path), ...entriesOf(settings)], purpose);
}

const entriesOf = (settings: Readonly<Record<string, unknown>>): Entry[] =>
  Object.entries(settings).map(([key, value]) => ({ key, value, keyAt: "", valueAt: "" }));

function fromEntries(entries: readonly Entry[], purpose: Purpose): LoadedConfig {
  const { values, positions, warnings } = checkEntries(entries);
  checkRules(values, purpose, positions);
  return { config: resolve(values, positions), warnings };
}
