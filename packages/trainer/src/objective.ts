import type { CausalLM } from "@welltempered/nn";
import type { Engine, Tensor } from "@welltempered/tensor";

/** One micro-batch. What else it holds is between an objective's `collate` and `loss`. */
export interface Batch {
  /** What the training loss is divided by: labelled tokens, or 1 for a mean over pairs. */
  count: number;
  /** Input tokens without padding, for throughput. */
  tokenCount: number;
  /** Input tokens as Hugging Face's padded batch has them. */
  paddedTokenCount: number;
  /** Numbers of the data set's rows, for messages. */
  rowIds: ArrayLike<number>;
}

export interface LossResult {
  /** Sum of the loss [1]; `fit()` divides it by the `count` of all batches of the step. */
  sum: Tensor;
  /** Items in the sum: what evaluation divides by. Where it is 0 nothing is learned. */
  count: number;
  /** Further sums to log as means. */
  aux?: Readonly<Record<string, { sum: Tensor; count: number }>>;
}

export interface ObjectiveContext {
  engine: Engine;
  model: CausalLM;
  training: boolean;
}

/**
 * What is trained for, handed to the one `fit()` loop. It may be asynchronous, run several forward passes or a second
 * model; accumulation, clipping, the optimizer, the schedule, logging and saving are `fit()`'s.
 */
export interface Objective<E, B extends Batch = Batch> {
  readonly name: string;
  /** False switches dropout off in training, as for losses that compare two passes. */
  readonly dropout?: boolean;
  collate(examples: readonly E[]): B;
  loss(batch: B, context: ObjectiveContext): LossResult | Promise<LossResult>;
}

/** Examples by number. */
export interface ExampleSet<E> {
  readonly length: number;
  get(index: number): E;
}
