import { names, onlyPlain, pattern, positive, targets } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";

/** LoHa (Hyeon-Woo et al. 2022, FedPara) as `adapter_config.json` describes it. */
export interface LohaConfig extends MethodConfig {
  peftType: "LOHA";
  r: number;
  alpha: number;
  /** Exceptions to r and α by module name. */
  rankPattern: Readonly<Record<string, number>>;
  alphaPattern: Readonly<Record<string, number>>;
}

/** Fields of peft that change the method. */
const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  rank_dropout: [0],
  module_dropout: [0],
  exclude_modules: [null],
  layers_to_transform: [null],
  layers_pattern: [null],
  init_weights: [true, false],
};

/** @throws {AdapterError} naming the key */
export function readLohaConfig(json: Json): LohaConfig {
  onlyPlain(json, plainOnly, "plain LoHa");
  return {
    peftType: "LOHA",
    r: positive(json, "r"),
    alpha: positive(json, "alpha"),
    targetModules: targets(json["target_modules"]),
    modulesToSave: names(json["modules_to_save"], "modules_to_save"),
    rankPattern: pattern(json, "rank_pattern"),
    alphaPattern: pattern(json, "alpha_pattern"),
  };
}

/** Every field that peft 0.21 writes, in its order. */
export function writeLohaConfig(config: LohaConfig, targetModules: readonly string[], baseModel: string): Json {
  return {
    alpha: config.alpha,
    alpha_pattern: config.alphaPattern,
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    exclude_modules: null,
    inference_mode: true,
    init_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    module_dropout: 0,
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    peft_type: "LOHA",
    peft_version: "0.21.0",
    r: config.r,
    rank_dropout: 0,
    rank_pattern: config.rankPattern,
    revision: null,
    target_modules: targetModules,
    task_type: "CAUSAL_LM",
    use_effective_conv2d: false,
  };
}
