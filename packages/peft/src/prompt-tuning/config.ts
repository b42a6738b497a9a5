import { AdapterError } from "../errors.ts";
import type { Json } from "../method.ts";
import { readPromptLearning, writePromptLearning, type PromptLearningConfig } from "../prompt-learning.ts";

/** Prompt tuning (Lester et al. 2021) as `adapter_config.json` describes it. */
export interface PromptTuningConfig extends PromptLearningConfig {
  peftType: "PROMPT_TUNING";
  /** Where the virtual tokens start: N(0, 1), or the embeddings of a text's tokens. */
  init: "RANDOM" | "TEXT";
  initText: string | null;
}

/** @throws {AdapterError} naming the key */
export function readPromptTuningConfig(json: Json): PromptTuningConfig {
  const init = json["prompt_tuning_init"] ?? "RANDOM";
  const text = json["prompt_tuning_init_text"] ?? null;
  if (init !== "RANDOM" && init !== "TEXT" && init !== "SAMPLE_VOCAB")
    throw new AdapterError(`prompt_tuning_init is ${JSON.stringify(init)}; supported is RANDOM, TEXT, SAMPLE_VOCAB`);
  if (text !== null && typeof text !== "string") throw new AdapterError("prompt_tuning_init_text must be a text");
  return {
    ...readPromptLearning(json),
    peftType: "PROMPT_TUNING",
    // Vocabulary tokens drawn at random are a start like another: the file holds what came of it.
    init: init === "TEXT" && text !== null ? "TEXT" : "RANDOM",
    initText: text,
  };
}

export function writePromptTuningConfig(
  config: PromptTuningConfig,
  _targetModules: readonly string[],
  baseModel: string,
): Json {
  return {
    ...writePromptLearning(config, baseModel),
    prompt_tuning_init: config.init,
    prompt_tuning_init_text: config.initText,
    tokenizer_kwargs: null,
    // peft asks for one where there is a text.
    tokenizer_name_or_path: config.init === "TEXT" ? baseModel : null,
  };
}
