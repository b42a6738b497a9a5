import { count, flag, fraction, names, onlyPlain, positive, targets, whole } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";

/** VeRA (Kopiczko et al. 2023) as `adapter_config.json` describes it. */
export interface VeraConfig extends MethodConfig {
  peftType: "VERA";
  r: number;
  dropout: number;
  /** What every element of λ_d starts at. */
  dInitial: number;
  /** Seed of the random matrices. */
  prngKey: number;
  /** The file holds the random matrices; otherwise whoever reads it makes them from their seed. */
  saveProjection: boolean;
}

/** Fields of peft that change the method. */
const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  fan_in_fan_out: [false],
  layers_to_transform: [null],
  layers_pattern: [null],
  init_weights: [true, false],
};

/** @throws {AdapterError} naming the key */
export function readVeraConfig(json: Json): VeraConfig {
  onlyPlain(json, plainOnly, "plain VeRA");
  return {
    peftType: "VERA",
    r: count(json, "r"),
    dropout: fraction(json, "vera_dropout"),
    dInitial: positive({ d_initial: 0.1, ...json }, "d_initial"),
    prngKey: whole(json, "projection_prng_key", { fallback: 0, min: 0 }),
    saveProjection: flag(json, "save_projection", true),
    targetModules: targets(json["target_modules"]),
    modulesToSave: names(json["modules_to_save"], "modules_to_save"),
  };
}

/** Every field that peft 0.21 writes, in its order. */
export function writeVeraConfig(config: VeraConfig, targetModules: readonly string[], baseModel: string): Json {
  return {
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: "none",
    d_initial: config.dInitial,
    fan_in_fan_out: false,
    inference_mode: true,
    init_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    peft_type: "VERA",
    peft_version: "0.21.0",
    projection_prng_key: config.prngKey,
    r: config.r,
    revision: null,
    save_projection: config.saveProjection,
    target_modules: targetModules,
    task_type: "CAUSAL_LM",
    vera_dropout: config.dropout,
  };
}
