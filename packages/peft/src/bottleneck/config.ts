// The configuration of the `adapters` library (1.3), which has another file format than peft.

import type { ActivationKind } from "@welltempered/tensor";
import { AdapterError } from "../errors.ts";
import { onlyPlain, positive } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";
import { noModules } from "../prompt-learning.ts";

/** Bottleneck adapters: `SeqBnConfig` (Pfeiffer et al. 2020), `DoubleSeqBnConfig` (Houlsby et al. 2019) and between. */
export interface BottleneckConfig extends MethodConfig {
  /** Our word: `adapters` has no types in this place. */
  peftType: "BOTTLENECK";
  /** Part of the names of the file's tensors. */
  name: string;
  /** Whether an adapter follows the attention, and the feed-forward. */
  afterAttention: boolean;
  afterMlp: boolean;
  /** Whether it reads the sum after the residual connection, or what the sub-layer alone gave. */
  readsSum: boolean;
  /** How much narrower than the model it is. */
  reductionFactor: number;
  nonLinearity: NonLinearity;
  hiddenSize: number | null;
  modelType: string;
  modelClass: string;
}

type NonLinearity = "relu" | "swish" | "silu" | "tanh";

/** Names of `adapters` for the kernels' activations. */
export const activations: Readonly<Record<NonLinearity, ActivationKind>> = {
  relu: "relu",
  swish: "silu",
  silu: "silu",
  tanh: "tanh",
};

type Preset = Pick<BottleneckConfig, "afterAttention" | "afterMlp" | "readsSum" | "nonLinearity">;

/** The two presets, as far as they differ. */
export const presets: Readonly<Record<"pfeiffer" | "houlsby", Preset>> = {
  pfeiffer: { afterAttention: false, afterMlp: true, readsSum: true, nonLinearity: "relu" },
  houlsby: { afterAttention: true, afterMlp: true, readsSum: false, nonLinearity: "swish" },
};

/** Fields that change the method, with the values that they have in both presets. */
const fixed = {
  adapter_residual_before_ln: false,
  cross_adapter: false,
  dropout: 0,
  init_weights: "bert",
  init_weights_seed: null,
  inv_adapter: null,
  inv_adapter_reduction_factor: null,
  is_parallel: false,
  leave_out: [],
  ln_after: false,
  ln_before: false,
  original_ln_after: true,
  phm_layer: false,
  residual_before_ln: true,
  scaling: 1,
  stochastic_depth: 0,
  use_gating: false,
};

/** Fields of a kind of layer that neither preset has. */
const idle = {
  factorized_phm_W: true,
  factorized_phm_rule: false,
  hypercomplex_nonlinearity: "glorot-uniform",
  learn_phm: true,
  phm_bias: true,
  phm_c_init: "normal",
  phm_dim: 4,
  phm_init_range: 0.0001,
  phm_rank: 1,
  shared_W_phm: false,
  shared_phm_rule: true,
};

/** A start is over once there is a file, and a factor without its adapter means nothing. */
const starts: readonly string[] = ["init_weights", "init_weights_seed", "inv_adapter_reduction_factor"];

const inner = (json: Json): Json | undefined => {
  const config = json["config"];
  return typeof config === "object" && config !== null && !Array.isArray(config) ? (config as Json) : undefined;
};

/** Whether this is a configuration of `adapters`, which has no `peft_type`. */
export const isOfAdapters = (json: Json): boolean => json["peft_type"] === undefined && inner(json) !== undefined;

/** @throws {AdapterError} naming the key */
export function readBottleneckConfig(json: Json): BottleneckConfig {
  const config = inner(json) ?? {};
  onlyPlain(config, { architecture: [null] }, "bottleneck adapters");
  const plain = Object.entries(fixed).filter(([key]) => !starts.includes(key));
  onlyPlain(config, Object.fromEntries(plain.map(([key, value]) => [key, [value]])), "sequential bottlenecks");
  const linear = config["non_linearity"];
  if (typeof linear !== "string" || !Object.hasOwn(activations, linear))
    throw new AdapterError(
      `non_linearity is ${JSON.stringify(linear)}; supported is ${Object.keys(activations).join(", ")}`,
    );
  const text = (key: string, missing: string): string => {
    const value = json[key];
    return typeof value === "string" ? value : missing;
  };
  return {
    ...noModules,
    peftType: "BOTTLENECK",
    name: text("name", "default"),
    afterAttention: config["mh_adapter"] === true,
    afterMlp: config["output_adapter"] === true,
    readsSum: config["original_ln_before"] === true,
    reductionFactor: positive(config, "reduction_factor"),
    nonLinearity: linear as NonLinearity,
    hiddenSize: typeof json["hidden_size"] === "number" ? json["hidden_size"] : null,
    modelType: text("model_type", "llama"),
    modelClass: text("model_class", "LlamaForCausalLM"),
  };
}

export function writeBottleneckConfig(config: BottleneckConfig, baseModel: string): Json {
  return {
    config: {
      ...fixed,
      ...idle,
      mh_adapter: config.afterAttention,
      non_linearity: config.nonLinearity,
      original_ln_before: config.readsSum,
      output_adapter: config.afterMlp,
      reduction_factor: config.reductionFactor,
    },
    hidden_size: config.hiddenSize,
    model_class: config.modelClass,
    model_name: baseModel,
    model_type: config.modelType,
    name: config.name,
    version: "adapters.1.3.0",
  };
}
