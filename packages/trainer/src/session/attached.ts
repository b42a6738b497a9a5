// What the configurations of adapters that wrap nothing say about the model that they are for.

import type { RunConfig } from "@welltempered/config";
import type { ConfigRecord } from "@welltempered/models";
import { noModules, presets, type BottleneckConfig, type PromptTuningConfig } from "@welltempered/peft";

type PromptSizes = Pick<
  PromptTuningConfig,
  "targetModules" | "modulesToSave" | "numVirtualTokens" | "tokenDim" | "numLayers" | "numAttentionHeads"
>;

const size = (record: ConfigRecord, key: string): number | null => {
  const value = record[key];
  return typeof value === "number" ? value : null;
};

/** Virtual tokens are as wide as an embedding. */
export const promptSizes = ({ numVirtualTokens }: RunConfig, record: ConfigRecord): PromptSizes => ({
  ...noModules,
  numVirtualTokens,
  tokenDim: size(record, "hidden_size"),
  numLayers: size(record, "num_hidden_layers"),
  numAttentionHeads: size(record, "num_attention_heads"),
});

/** Keys and values are as wide as the key heads together, and peft counts those. */
export function prefixSizes(config: RunConfig, record: ConfigRecord): PromptSizes {
  const sizes = promptSizes(config, record);
  const { tokenDim, numAttentionHeads } = sizes;
  const heads = size(record, "num_key_value_heads") ?? numAttentionHeads;
  const headDim = size(record, "head_dim") ?? (tokenDim ?? 0) / (numAttentionHeads ?? 1);
  return { ...sizes, numAttentionHeads: heads, tokenDim: headDim * (heads ?? 1) };
}

export function bottleneckConfig(
  preset: keyof typeof presets,
  { reductionFactor, nonLinearity }: RunConfig,
  record: ConfigRecord,
): BottleneckConfig {
  const [modelClass] = Array.isArray(record["architectures"]) ? (record["architectures"] as unknown[]) : [];
  return {
    ...noModules,
    ...presets[preset],
    peftType: "BOTTLENECK",
    name: preset,
    reductionFactor,
    ...(nonLinearity === undefined ? {} : { nonLinearity }),
    hiddenSize: size(record, "hidden_size"),
    modelType: typeof record["model_type"] === "string" ? record["model_type"] : "llama",
    modelClass: typeof modelClass === "string" ? modelClass : "LlamaForCausalLM",
  };
}
