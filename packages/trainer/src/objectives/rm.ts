import { collatePairs, type Example, type PairBatch } from "@welltempered/data";
import { numbersFrom, type CausalLM, type PackedRows } from "@welltempered/nn";
import { bradleyTerryLoss, type Scores } from "@welltempered/rlhf";
import { mean, sub, sum, takeRows, type Tensor } from "@welltempered/tensor";
import type { Batch, LossResult, Objective } from "../objective.ts";

export type RewardBatch = PairBatch & Batch;

/**
 * Reward model: the mean of −log σ(r_c − r_r) over the pairs of a micro-batch, which counts as one item, as LlamaFactory
 * accumulates. What is logged beside it is the share of all pairs that the scores rank right.
 */
export const rewardModel = (): Objective<Example, RewardBatch> => ({
  name: "rm",
  collate: (examples) => ({ ...collatePairs(examples, { padToMultipleOf: 8 }), count: 1 }),
  loss: ({ rows }, { model }) => lossOf(pairScores(model, rows)),
});

export function lossOf(scores: Scores): LossResult {
  const { engine, size: pairs } = scores.chosen;
  const right = engine.noGrad(() => {
    const margins = sub(scores.chosen, scores.rejected);
    return sum(engine.adopt(engine.backend.unary("step", margins.slot)));
  });
  return { sum: mean(bradleyTerryLoss(scores)), count: 1, aux: { accuracy: { sum: right, count: pairs } } };
}

/** Scores of rows that are all chosen sequences and then as many rejected ones: one pass over both. */
export function pairScores(model: CausalLM, rows: PackedRows): Scores {
  const scores = sequenceScores(model, rows);
  const pairs = scores.size / 2;
  const side = (first: number): Tensor => takeRows(scores, scores.engine.tensor(numbersFrom(first, pairs)));
  return { chosen: side(0), rejected: side(pairs) };
}

/** r of the last token of each sequence, [S,1].  @throws {RangeError} where the model has no value head */
export function sequenceScores(model: CausalLM, rows: PackedRows): Tensor {
  if (model.v_head === undefined) throw new RangeError("the model has no value head");
  const hidden = model.forward(rows);
  const ends = Int32Array.from(rows.segments, ({ start, length }) => start + length - 1);
  return model.v_head.forward(takeRows(hidden, hidden.engine.tensor(ends)));
}
