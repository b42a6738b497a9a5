import { count, onlyPlain } from "../fields.ts";
import type { Json } from "../method.ts";
import { readPromptLearning, writePromptLearning, type PromptLearningConfig } from "../prompt-learning.ts";

/** Prefix tuning (Li & Liang 2021) as `adapter_config.json` describes it. */
export interface PrefixTuningConfig extends PromptLearningConfig {
  peftType: "PREFIX_TUNING";
  /** Whether a small network makes keys and values while training; the file holds what it made. */
  prefixProjection: boolean;
  /** Width of that network. */
  encoderHiddenSize: number | null;
  /** Whether this came from a file, in which there is no network. */
  inferenceMode: boolean;
}

/** @throws {AdapterError} naming the key */
export function readPrefixTuningConfig(json: Json): PrefixTuningConfig {
  onlyPlain(json, { init_weights: [null, "zero"] }, "random and zero starts");
  const hidden = json["encoder_hidden_size"] ?? null;
  return {
    ...readPromptLearning(json),
    peftType: "PREFIX_TUNING",
    prefixProjection: json["prefix_projection"] === true,
    encoderHiddenSize: hidden === null ? null : count(json, "encoder_hidden_size"),
    inferenceMode: true,
  };
}

export function writePrefixTuningConfig(
  config: PrefixTuningConfig,
  _targetModules: readonly string[],
  baseModel: string,
): Json {
  return {
    ...writePromptLearning(config, baseModel),
    encoder_hidden_size: config.encoderHiddenSize,
    init_weights: null,
    prefix_projection: config.prefixProjection,
  };
}
