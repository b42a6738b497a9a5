// The part of config.json that all decoders share, under transformers' names.

import { ModelConfigError } from "./errors.ts";
import { booleanField, integerField, numberField, onlyField, show, type ConfigRecord } from "./fields.ts";
import { readRope, type RopeConfig } from "./rope.ts";

export interface DecoderConfig {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  rmsNormEps: number;
  tied: boolean;
  rope: RopeConfig;
}

/** What transformers' own config class of a model assumes where it is not what Llama's does. */
export interface DecoderDefaults {
  numKeyValueHeads?: number;
  headDim?: number;
  rmsNormEps?: number;
  tied?: boolean;
  /** Key and only value of the activation. */
  activation?: readonly [key: string, value: string];
}

/** @throws {ModelConfigError} naming the key */
export function readDecoderConfig(config: ConfigRecord, defaults: DecoderDefaults = {}): DecoderConfig {
  const hiddenSize = integerField(config, "hidden_size");
  const numHeads = integerField(config, "num_attention_heads");
  const heads = readHeads(config, defaults, hiddenSize, numHeads);
  const [activation, value] = defaults.activation ?? ["hidden_act", "silu"];
  onlyField(config, activation, value);
  onlyField(config, "attention_dropout", 0);
  return {
    vocabSize: integerField(config, "vocab_size"),
    hiddenSize,
    intermediateSize: integerField(config, "intermediate_size"),
    numLayers: integerField(config, "num_hidden_layers", undefined, 4096),
    numHeads,
    ...heads,
    rmsNormEps: numberField(config, "rms_norm_eps", defaults.rmsNormEps ?? 1e-6),
    tied: booleanField(config, "tie_word_embeddings", defaults.tied ?? false),
    rope: readRope(config),
  };
}

function readHeads(
  config: ConfigRecord,
  defaults: DecoderDefaults,
  hiddenSize: number,
  numHeads: number,
): Pick<DecoderConfig, "numKeyValueHeads" | "headDim"> {
  const missing = config["num_key_value_heads"] === undefined ? defaults.numKeyValueHeads : undefined;
  const numKeyValueHeads = integerField(config, "num_key_value_heads", missing ?? numHeads);
  if (numHeads % numKeyValueHeads !== 0) {
    throw new ModelConfigError(
      "num_key_value_heads",
      `is ${numKeyValueHeads}; it must divide num_attention_heads (${numHeads})`,
    );
  }
  const fallback = defaults.headDim ?? hiddenSize / numHeads;
  if ((config["head_dim"] ?? undefined) === undefined && !Number.isInteger(fallback)) {
    throw new ModelConfigError(
      "hidden_size",
      `is ${hiddenSize}; it must be a multiple of num_attention_heads (${numHeads})`,
    );
  }
  const headDim = integerField(config, "head_dim", fallback);
  if (headDim % 2 !== 0) throw new ModelConfigError("head_dim", `is ${headDim}; it must be even`);
  return { numKeyValueHeads, headDim };
}

/** `sliding_window` in tokens; 0 where it is null: none. */
export function slidingWindow(config: ConfigRecord, fallback: number): number {
  const value = config["sliding_window"];
  if (value === null) return 0;
  return value === undefined ? fallback : integerField(config, "sliding_window", undefined, 2 ** 31);
}

/** Window of each layer, 0 where it sees all: `layer_types`, else `slides`, says which layers have it. */
export function layerWindows(
  config: ConfigRecord,
  numLayers: number,
  window: number,
  slides: (layer: number) => boolean,
): number[] {
  const sliding = slidingLayers(config, numLayers) ?? Array.from({ length: numLayers }, (_, layer) => slides(layer));
  if (window === 0 && sliding.includes(true))
    throw new ModelConfigError("sliding_window", "is switched off; some layers have sliding attention");
  return sliding.map((slid) => (slid ? window : 0));
}

function slidingLayers(config: ConfigRecord, numLayers: number): boolean[] | undefined {
  const types = config["layer_types"] ?? undefined;
  if (types === undefined) return undefined;
  if (!Array.isArray(types) || types.length !== numLayers)
    throw new ModelConfigError("layer_types", `is ${show(types)}; it must list a type for each of ${numLayers} layers`);
  const other = types.find((type) => type !== "full_attention" && type !== "sliding_attention");
  if (other !== undefined)
    throw new ModelConfigError("layer_types", `has ${show(other)}; supported are full_attention and sliding_attention`);
  return types.map((type) => type === "sliding_attention");
}
