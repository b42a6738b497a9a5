// What the answers of a micro-batch of pairs are to a model: hidden states, log-probabilities, logits.

import type { CollatedAnswers, PairBatch } from "@welltempered/data";
import type { CausalLM } from "@welltempered/nn";
import {
  linearLogProb,
  matmul,
  mean,
  mul,
  scale,
  segmentSum,
  sum,
  takeRows,
  type Engine,
  type Tensor,
} from "@welltempered/tensor";

/** One value for each of the two kinds of answers. */
export interface Sides<T> {
  chosen: T;
  rejected: T;
}

export const bothSides = <T>(make: (side: keyof Sides<T>) => T): Sides<T> => ({
  chosen: make("chosen"),
  rejected: make("rejected"),
});

/** Hidden states of the rows that predict an answer's tokens, [M,D]: one forward pass over both kinds. */
export function answerStates(model: CausalLM, batch: PairBatch): Sides<Tensor> {
  const hidden = model.forward(batch.rows);
  return bothSides((side) => takeRows(hidden, hidden.engine.tensor(batch[side].rows)));
}

/** log p of each token of the answers, [M] */
export function tokenLogProbs(model: CausalLM, states: Sides<Tensor>, batch: PairBatch): Sides<Tensor> {
  const head = model.headWeight.tensor;
  return bothSides((side) =>
    linearLogProb(states[side], head, states[side].engine.tensor(batch[side].targets), model.logitSoftCap),
  );
}

/** Tokens [M] → answers [P]: their sums, or their means. */
export function overAnswers(tokens: Tensor, { lengths }: CollatedAnswers, over: "sum" | "mean"): Tensor {
  const sums = segmentSum(tokens, lengths);
  if (over === "sum") return sums;
  return mul(sums, tokens.engine.tensor(Float32Array.from(lengths, (length) => 1 / length)));
}

/** Mean over rows and vocabulary of the logits. Uncapped they are not made: Σ states · Σ head / (M·V).  states [M,D] → [1] */
export function meanLogit(model: CausalLM, states: Tensor): Tensor {
  if (model.logitSoftCap > 0) return mean(model.logits(states));
  const head = model.headWeight.tensor;
  const { engine } = states;
  const columnSums = (x: Tensor): Tensor => matmul(ones(engine, x.shape[0] ?? 0), x);
  return scale(sum(mul(columnSums(states), columnSums(head))), 1 / ((states.shape[0] ?? 1) * (head.shape[0] ?? 1)));
}

const ones = (engine: Engine, length: number): Tensor => engine.tensor(new Float32Array(length).fill(1), [1, length]);
