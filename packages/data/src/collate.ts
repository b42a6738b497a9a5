import { IGNORE_INDEX } from "./encode/supervised.ts";
import type { Example } from "./example.ts";

/** The model's packed rows (the contract of `@welltempered/nn`): all sequences one after another, without padding. */
export interface CollatedRows {
  tokens: Int32Array;
  positions: Int32Array;
  segments: { start: number; length: number; parent: number }[];
  /** What LlamaFactory pads each example of the batch to. */
  paddedLength: number;
}

/** One micro-batch. */
export interface SftBatch {
  rows: CollatedRows;
  /** Label of row i: the token that follows it, or −100 [N]. */
  labels: Int32Array;
  /** Labels ≠ −100 after the shift: the rows the loss is summed over. */
  count: number;
  /** Labels ≠ −100 before the shift, which transformers up to 5.6 divides the training loss by. */
  labelCount: number;
  /** Tokens without LlamaFactory's padding of the batch, as it counts them. */
  tokenCount: number;
  /** Tokens with that padding. */
  paddedTokenCount: number;
  /** Number of each example's (first) row in its dataset. */
  rowIds: Int32Array;
}

export interface CollateOptions {
  /** Multiple that LlamaFactory pads the longest example to: 8 while training with stage sft, otherwise 1. */
  padToMultipleOf?: number;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

function concat(parts: readonly Int32Array[]): Int32Array {
  const joined = new Int32Array(sum(parts, (part) => part.length));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Each label moves to the row before it, also from one packed sequence to the next; the last row of an example has none. */
function shift(labels: Int32Array): Int32Array {
  const shifted = new Int32Array(labels.length).fill(IGNORE_INDEX);
  shifted.set(labels.subarray(1));
  return shifted;
}

function countLabels(labels: Int32Array): number {
  return labels.reduce((count, label) => (label === IGNORE_INDEX ? count : count + 1), 0);
}

function segmentsOf(examples: readonly Example[]): CollatedRows["segments"] {
  let start = 0;
  return examples.flatMap((example) =>
    [...example.segmentLengths].map((length) => {
      const segment = { start, length, parent: -1 };
      start += length;
      return segment;
    }),
  );
}

/** A micro-batch of examples, concatenated; segments keep them from seeing each other. */
export function collateSft(examples: readonly Example[], options: CollateOptions = {}): SftBatch {
  const multiple = options.padToMultipleOf ?? 1;
  const longest = Math.max(0, ...examples.map((example) => example.paddedLength));
  const paddedLength = Math.ceil(longest / multiple) * multiple;
  const labels = concat(examples.map((example) => shift(example.labels)));
  return {
    rows: {
      tokens: concat(examples.map((example) => example.inputIds)),
      positions: concat(examples.map((example) => example.positions)),
      segments: segmentsOf(examples),
      paddedLength,
    },
    labels,
    count: countLabels(labels),
    labelCount: sum(examples, (example) => countLabels(example.labels)),
    tokenCount: sum(examples, (example) => example.tokenCount),
    paddedTokenCount: examples.length * paddedLength,
    rowIds: Int32Array.from(examples, (example) => example.row),
  };
}
