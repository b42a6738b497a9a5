import { collatePairs, type Example, type PairBatch } from "@welltempered/data";
import { logSigmoid, mean, scale, sub, takeRows, type Tensor } from "@welltempered/tensor";
import type { Batch, LossResult, Objective, ObjectiveContext } from "../objective.ts";
import { valueHeadOf } from "../session/value-head.ts";

type RewardBatch = PairBatch & Batch;

/** Reward model (Ouyang et al. 2022): −log σ(r_c − r_r), r the value head on the last token of a sequence. */
export const rewardModel = (): Objective<Example, RewardBatch> => ({
  name: "rm",
  collate: (examples) => ({ ...collatePairs(examples, { padToMultipleOf: 8 }), count: 1 }),
  loss,
});

function loss({ rows }: RewardBatch, { engine, model }: ObjectiveContext): LossResult {
  const head = valueHeadOf(model);
  if (head === undefined) throw new RangeError("the model has no value head");
  const hidden = model.forward(rows);
  const ends = rows.segments.map(({ start, length }) => start + length - 1);
  const score = (lastRows: number[]): Tensor =>
    head.summary.forward(takeRows(hidden, engine.tensor(Int32Array.from(lastRows)))); // [P,1]
  const pairs = ends.length / 2;
  const margins = sub(score(ends.slice(0, pairs)), score(ends.slice(pairs)));
  const accuracy = engine.noGrad(() => mean(engine.adopt(engine.backend.unary("step", margins.slot))));
  return { sum: scale(mean(logSigmoid(margins)), -1), count: 1, aux: { accuracy: { sum: accuracy, count: 1 } } };
}
