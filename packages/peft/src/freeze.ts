import { AdapterError } from "./errors.ts";

export interface FreezeSettings {
  /** The last n blocks, or the first −n. */
  layers: number;
  /** Modules of those blocks, or the single word `all`. */
  modules: readonly string[];
  /** Modules outside the blocks, such as `embed_tokens`. */
  extraModules: readonly string[];
}

/**
 * Names of the weights that train in freeze tuning, by LlamaFactory's rules: a weight trains where its name contains
 * `.<block>.<module>` or an extra module, so `norm` trains every norm. @throws {AdapterError} naming the key
 */
export function chooseTrained(names: readonly string[], settings: FreezeSettings): string[] {
  const { modules, extraModules } = settings;
  const blocks = chosenBlocks(names, settings.layers);
  checkNames("freeze_trainable_modules", modules, ["all", ...modulesOfBlocks(names)]);
  checkNames("freeze_extra_modules", extraModules, modulesOutside(names));
  const parts = modules.flatMap((module) => blocks.map((block) => `.${block}.${module === "all" ? "" : module}`));
  const chosen = names.filter((name) => [...parts, ...extraModules].some((part) => name.includes(part)));
  if (chosen.length === 0)
    throw new AdapterError("freeze_trainable_layers: no weight is left to train; name blocks or freeze_extra_modules");
  return chosen;
}

function chosenBlocks(names: readonly string[], layers: number): number[] {
  const numbers = names.flatMap((name) => /\.(\d+)\./.exec(name)?.[1] ?? []);
  const all = [...new Set(numbers.map(Number))].sort((a, b) => a - b);
  return layers > 0 ? all.slice(-layers) : all.slice(0, -layers);
}

/** What follows the number of the first block, or of the second where the first has other names. */
function modulesOfBlocks(names: readonly string[]): string[] {
  const inside = names.flatMap((name) => {
    const mark = [".0.", ".1."].find((number) => name.includes(number));
    return mark === undefined ? [] : (name.split(mark).at(-1)?.split(".")[0] ?? []);
  });
  return [...new Set(inside)];
}

/** The module that holds each weight outside the blocks. */
function modulesOutside(names: readonly string[]): string[] {
  const outside = names.filter((name) => !/\.\d+\./.test(name));
  return [...new Set(outside.flatMap((name) => name.split(".").at(-2) ?? []))];
}

function checkNames(key: string, names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new AdapterError(`${key}: module ${unknown} is not found; choose from ${known.join(", ")}`);
}
