// openRewardModel: a model with its adapter and value head, for whoever needs scores: a filter, an evaluation, an objective.

import type { RunConfig } from "@welltempered/config";
import { encodeAnswer, type Message } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { packRows } from "@welltempered/nn";
import { sequenceScores } from "../objectives/rm.ts";
import { openEngine } from "./engine.ts";
import { loadModel } from "./load-model.ts";
import { openBase } from "./open-base.ts";
import { loadText } from "./load-text.ts";
import { resizeVocab } from "./vocabulary.ts";

export interface RewardModel {
  /** Ids of a conversation that ends with an answer, as pairs are encoded for training, not cut. */
  encode(messages: readonly Message[], system?: string): Int32Array;
  /** The score of the last token of each sequence of ids. */
  score(sequences: readonly ArrayLike<number>[]): Promise<number[]>;
  dispose(): void;
}

/** Loads the reward model that a configuration names, as `stage: rm` saves it. @throws {UserError} where it has no head */
export async function openRewardModel(config: RunConfig, emit: Emit): Promise<RewardModel> {
  const settings: RunConfig = { ...config, stage: "rm", doTrain: false };
  const base = openBase(settings);
  const engine = openEngine(config);
  const text = await loadText(base, settings, emit);
  const { model } = loadModel(resizeVocab(base, text, settings, emit), {
    engine,
    config: settings,
    emit,
  });
  base.weights.close();
  const scoresOf = (batch: readonly ArrayLike<number>[]): Promise<number[]> =>
    engine.noGradAsync(() =>
      engine.scopeAsync(async () => Array.from(await sequenceScores(model, packRows(batch)).read())),
    );
  return {
    encode: (messages, system = "") => {
      const answer = messages.at(-1);
      if (answer === undefined) throw new RangeError("a conversation without messages has no score");
      return Int32Array.from(encodeAnswer({ prompt: messages.slice(0, -1), system, tools: "" }, answer, text).flat());
    },
    score: async (sequences) => {
      if (sequences.some(({ length }) => length === 0)) throw new RangeError("a sequence without tokens has no score");
      const size = config.perDeviceEvalBatchSize;
      const scores: number[] = [];
      for (let start = 0; start < sequences.length; start += size)
        scores.push(...(await scoresOf(sequences.slice(start, start + size))));
      return scores;
    },
    dispose: () => model.dispose(),
  };
}
