// do_predict: answers to the prompts of the evaluation rows, in batches.

import { writeFileAtomic } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { AlignedRow, TemplateChoice } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { join } from "node:path";
import { speedMetrics } from "../speed.ts";
import { answers, exactMatch } from "./answers.ts";
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

/** Writes generated_predictions.jsonl and predict_results.json; returns the metrics. */
export async function predict(context: PredictContext, rows: readonly AlignedRow[]): Promise<Record<string, number>> {
  const { config, folder } = context;
  if (rows.length === 0) throw new UserError("eval_dataset: holds no rows to predict; name one with do_predict");
  const started = performance.now();
  const predictions = await answers(
    { ...context, model: context.loaded.model },
    tokenizePredict(rows, context.text, config),
  );
  await writeFileAtomic(
    join(folder, "generated_predictions.jsonl"),
    predictions.map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
  const steps = Math.ceil(rows.length / config.perDeviceEvalBatchSize);
  const metrics = {
    predict_exact_match: exactMatch(predictions),
    ...speedMetrics("predict", (performance.now() - started) / 1000, { samples: rows.length, steps }),
  };
  await writeResults(folder, "predict", metrics);
  return metrics;
}
