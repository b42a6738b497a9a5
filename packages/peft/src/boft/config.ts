import { names, onlyPlain, targets, whole } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";

/** BOFT (Liu et al. 2024) as `adapter_config.json` describes it. */
export interface BoftConfig extends MethodConfig {
  peftType: "BOFT";
  /** Size of the blocks, and their number: exactly one is not 0, and the other follows from a projection's inputs. */
  blockSize: number;
  blockNum: number;
  /** Rotations in a row, each of blocks that are twice as far apart as those of the one before. */
  factors: number;
}

/** Fields of peft that change the method. */
const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  boft_dropout: [0],
  exclude_modules: [null],
  fan_in_fan_out: [false],
  init_weights: [true, false],
  layers_pattern: [null],
  layers_to_transform: [null],
};

/** @throws {AdapterError} naming the key */
export function readBoftConfig(json: Json): BoftConfig {
  onlyPlain(json, plainOnly, "plain BOFT");
  return {
    peftType: "BOFT",
    targetModules: targets(json["target_modules"]),
    modulesToSave: names(json["modules_to_save"], "modules_to_save"),
    blockSize: whole(json, "boft_block_size", { fallback: 4, min: 0 }),
    blockNum: whole(json, "boft_block_num", { fallback: 0, min: 0 }),
    factors: whole(json, "boft_n_butterfly_factor", { fallback: 1, min: 1 }),
  };
}

/** Every field that peft 0.21 writes, in its order. */
export function writeBoftConfig(config: BoftConfig, targetModules: readonly string[], baseModel: string): Json {
  return {
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: "none",
    boft_block_num: config.blockNum,
    boft_block_size: config.blockSize,
    boft_dropout: 0,
    boft_n_butterfly_factor: config.factors,
    exclude_modules: null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    peft_type: "BOFT",
    peft_version: "0.21.0",
    revision: null,
    target_modules: targetModules,
    task_type: "CAUSAL_LM",
  };
}
