import { AdapterError } from "../errors.ts";
import { names, onlyPlain, targets } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";

/** (IA)³ (Liu et al. 2022) as `adapter_config.json` describes it. */
export interface Ia3Config extends MethodConfig {
  peftType: "IA3";
  /** Names among the targets whose input is rescaled; the others' output is. */
  feedforwardModules: readonly string[];
}

/** Fields of peft that change the method. */
const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  fan_in_fan_out: [false],
  exclude_modules: [null],
  init_ia3_weights: [true, false],
};

/** @throws {AdapterError} naming the key */
export function readIa3Config(json: Json): Ia3Config {
  onlyPlain(json, plainOnly, "plain (IA)³");
  // peft fills it in by the kind of model before it saves, so only a file made by hand lacks it.
  if (!Array.isArray(json["feedforward_modules"]))
    throw new AdapterError("feedforward_modules must be a list of module names, [] for none");
  return checkIa3Config({
    peftType: "IA3",
    targetModules: targets(json["target_modules"]),
    modulesToSave: names(json["modules_to_save"], "modules_to_save"),
    feedforwardModules: names(json["feedforward_modules"], "feedforward_modules"),
  });
}

/** @throws {AdapterError} where a feed-forward name is none of the targets' names, as peft does */
export function checkIa3Config(config: Ia3Config): Ia3Config {
  const { targetModules, feedforwardModules } = config;
  const named =
    targetModules === "all-linear" ? [] : targetModules.map((path) => path.slice(path.lastIndexOf(".") + 1));
  const stray = feedforwardModules.filter((name) => !named.includes(name));
  if (stray.length > 0)
    throw new AdapterError(`feedforward_modules names ${stray.join(", ")}, which the targets do not name`);
  return config;
}

/** Every field that peft 0.21 writes, in its order. */
export function writeIa3Config(config: Ia3Config, targetModules: readonly string[], baseModel: string): Json {
  return {
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    exclude_modules: null,
    fan_in_fan_out: false,
    feedforward_modules: config.feedforwardModules,
    inference_mode: true,
    init_ia3_weights: true,
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    peft_type: "IA3",
    peft_version: "0.21.0",
    revision: null,
    target_modules: targetModules,
    task_type: "CAUSAL_LM",
  };
}
