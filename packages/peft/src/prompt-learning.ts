// What the configurations of peft's methods with virtual tokens have in common.

import { count, onlyPlain } from "./fields.ts";
import type { Json, MethodConfig } from "./method.ts";

export interface PromptLearningConfig extends MethodConfig {
  numVirtualTokens: number;
  /** Sizes of the model as peft writes them; a file may leave them out, and loading asks the model alone. */
  tokenDim: number | null;
  numLayers: number | null;
  numAttentionHeads: number | null;
}

/** The fields that are of no use to a method without wrapped modules. */
export const noModules: Pick<MethodConfig, "targetModules" | "modulesToSave"> = {
  targetModules: [],
  modulesToSave: [],
};

const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  modules_to_save: [null],
  num_transformer_submodules: [null, 1],
};

/** @throws {AdapterError} naming the key */
export function readPromptLearning(json: Json): Omit<PromptLearningConfig, "peftType"> {
  onlyPlain(json, plainOnly, "decoders without further trained modules");
  const size = (key: string): number | null => ((json[key] ?? null) === null ? null : count(json, key));
  return {
    ...noModules,
    numVirtualTokens: count(json, "num_virtual_tokens", 8192),
    tokenDim: size("token_dim"),
    numLayers: size("num_layers"),
    numAttentionHeads: size("num_attention_heads"),
  };
}

export function writePromptLearning(config: PromptLearningConfig, baseModel: string): Json {
  return {
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    inference_mode: true,
    modules_to_save: null,
    num_attention_heads: config.numAttentionHeads,
    num_layers: config.numLayers,
    num_transformer_submodules: 1,
    num_virtual_tokens: config.numVirtualTokens,
    peft_type: config.peftType,
    peft_version: "0.21.0",
    revision: null,
    task_type: "CAUSAL_LM",
    token_dim: config.tokenDim,
  };
}
