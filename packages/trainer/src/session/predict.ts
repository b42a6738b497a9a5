// do_predict: answers to the prompts of the evaluation rows, in batches.

import { writeFileAtomic } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { AlignedRow, PromptExample, TemplateChoice } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { generate, type GenerateOptions } from "@welltempered/generate";
import { join } from "node:path";
import { speedMetrics } from "../speed.ts";
import type { LoadedModel } from "./load-model.ts";
import { tokenizePredict } from "./load-text.ts";
import { writeResults } from "./run-folder.ts";

interface PredictContext {
  config: RunConfig;
  emit: Emit;
  text: TemplateChoice;
  loaded: LoadedModel;
  folder: string;
}

export interface Prediction {
  prompt: string;
  predict: string;
  label: string;
}

/** Writes generated_predictions.jsonl and predict_results.json; returns the metrics. */
export async function predict(context: PredictContext, rows: readonly AlignedRow[]): Promise<Record<string, number>> {
  const { config, folder } = context;
  if (rows.length === 0) throw new UserError("eval_dataset: holds no rows to predict; name one with do_predict");
  const started = performance.now();
  const predictions = await answers(context, tokenizePredict(rows, context.text, config));
  await writeFileAtomic(
    join(folder, "generated_predictions.jsonl"),
    predictions.map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
  const right = predictions.filter(({ predict: answer, label }) => answer.trim() === label.trim()).length;
  const steps = Math.ceil(rows.length / config.perDeviceEvalBatchSize);
  const metrics = {
    predict_exact_match: (100 * right) / predictions.length,
    ...speedMetrics("predict", (performance.now() - started) / 1000, { samples: rows.length, steps }),
  };
  await writeResults(folder, "predict", metrics);
  return metrics;
}

async function answers(
  { config, emit, text, loaded }: PredictContext,
  prompts: readonly PromptExample[],
): Promise<Prediction[]> {
  const size = config.perDeviceEvalBatchSize;
  const predictions: Prediction[] = [];
  const decode = (ids: Int32Array, skipSpecialTokens: boolean): string =>
    text.tokenizer.decode([...ids], { skipSpecialTokens });
  for (let start = 0; start < prompts.length; start += size) {
    const batch = prompts.slice(start, start + size);
    const completions = await generate(
      loaded.model,
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
