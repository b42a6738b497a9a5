// Answers to prompts, in batches.

import type { RunConfig } from "@welltempered/config";
import type { PromptExample, TemplateChoice } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { generate, type GenerateOptions } from "@welltempered/generate";
import type { CausalLM } from "@welltempered/nn";

export interface AnswerContext {
  config: RunConfig;
  emit: Emit;
  text: TemplateChoice;
  model: CausalLM;
}

export interface Prediction {
  prompt: string;
  predict: string;
  label: string;
}

/** Share of answers that equal the label but for surrounding spaces, in percent. */
export function exactMatch(predictions: readonly Prediction[]): number {
  const right = predictions.filter(({ predict, label }) => predict.trim() === label.trim()).length;
  return (100 * right) / predictions.length;
}

/** What the model answers to each prompt. */
export async function answers(
  { config, emit, text, model }: AnswerContext,
  prompts: readonly PromptExample[],
): Promise<Prediction[]> {
  const size = config.perDeviceEvalBatchSize;
  const predictions: Prediction[] = [];
  const decode = (ids: Int32Array, skipSpecialTokens: boolean): string =>
    text.tokenizer.decode([...ids], { skipSpecialTokens });
  for (let start = 0; start < prompts.length; start += size) {
    const batch = prompts.slice(start, start + size);
    const completions = await generate(
      model,
      batch.map(({ promptIds }) => promptIds),
      generateOptions(config, text, batch),
    );
    for (const [index, { tokens }] of completions.entries()) {
      const { promptIds, labelIds } = batch[index] ?? { promptIds: new Int32Array(), labelIds: new Int32Array() };
      predictions.push({
        prompt: decode(promptIds, false),
        predict: decode(tokens, config.skipSpecialTokens),
        label: decode(labelIds, config.skipSpecialTokens),
      });
    }
    emit({ type: "progress", what: "predicting", done: predictions.length, total: prompts.length });
  }
  return predictions;
}

/** `max_new_tokens` wins over `max_length`, which counts the prompt too. */
export function generateOptions(
  config: RunConfig,
  { template, tokenizer }: TemplateChoice,
  prompts: readonly { promptIds: Int32Array }[],
): GenerateOptions {
  const longest = prompts.reduce((length, { promptIds }) => Math.max(length, promptIds.length), 0);
  return {
    sampling: {
      doSample: config.doSample,
      temperature: config.temperature,
      topK: config.topK,
      topP: config.topP,
      repetitionPenalty: config.repetitionPenalty,
    },
    maxNewTokens: config.maxNewTokens > 0 ? config.maxNewTokens : Math.max(0, config.maxLength - longest),
    stopIds: template.stopIds(tokenizer),
    seed: config.seed,
  };
}
