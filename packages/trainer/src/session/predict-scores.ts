// do_predict of a reward model: what it thinks of both answers of every pair held out.

import { writeFileAtomic } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { TokenizedDataset } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import type { Engine } from "@welltempered/tensor";
import { join } from "node:path";
import { evaluate } from "../evaluate.ts";
import type { LossResult, ObjectiveContext } from "../objective.ts";
import { lossOf, pairScores, rewardModel, type RewardBatch } from "../objectives/rm.ts";
import type { LoadedModel } from "./load-model.ts";
import { writeResults } from "./run-folder.ts";

interface PredictContext {
  config: RunConfig;
  emit: Emit;
  engine: Engine;
  loaded: LoadedModel;
  folder: string;
}

/** Writes generated_predictions.jsonl, scores to two decimals, and predict_results.json; returns the metrics. */
export async function predictScores(
  { config, emit, engine, loaded, folder }: PredictContext,
  examples: TokenizedDataset,
): Promise<Record<string, number>> {
  const lines: string[] = [];
  const loss = async ({ rows }: RewardBatch, { model }: ObjectiveContext): Promise<LossResult> => {
    const scores = pairScores(model, rows);
    const [chosen, rejected] = await Promise.all([scores.chosen.read(), scores.rejected.read()]);
    for (const [pair, score] of chosen.entries())
      lines.push(JSON.stringify({ chosen: rounded(score), rejected: rounded(rejected[pair]) }));
    return lossOf(scores);
  };
  const metrics = await evaluate({
    engine,
    model: loaded.model,
    objective: { ...rewardModel(), loss },
    examples,
    batchSize: config.perDeviceEvalBatchSize,
    prefix: "predict",
    progress: (done, total) => emit({ type: "progress", what: "predicting", done, total }),
  });
  await writeFileAtomic(join(folder, "generated_predictions.jsonl"), lines.map((line) => `${line}\n`).join(""));
  await writeResults(folder, "predict", metrics);
  return metrics;
}

const rounded = (score = Number.NaN): number => Number(score.toFixed(2));
