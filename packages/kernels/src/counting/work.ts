// What a kernel call costs, in units that a rate of the machine turns into seconds.

import type { MatmulLayout, Shape, StorageType } from "../backend.ts";

/** One matrix product [m,k]·[k,n] with the stored weight's type on the right. */
export interface Product {
  layout: MatmulLayout;
  m: number;
  n: number;
  k: number;
  type: StorageType;
  /** Of what joins it (`matmulLowRank`); undefined or 0: nothing. */
  rank?: number;
}

export interface Attended {
  flop: number;
  headDim: number;
  /** Columns of q, and of k. */
  queries: number;
  keys: number;
  /** Keys of the longest segment. */
  longest: number;
}

export interface Work {
  /** The method of the backend. */
  op: string;
  products: readonly Product[];
  /** Undefined but for attention, forward or backward. */
  attention: Attended | undefined;
  /** Bytes read and written apart from products and attention. */
  bytes: number;
  /** Bytes that the kernel holds while it runs and keeps for its next call. */
  scratch: number;
}

export const flopOf = ({ m, n, k, rank = 0 }: Product): number => 2 * m * n * (k + rank);

export const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** How many pairs of query and key meet in an `AttentionLayout`. */
export function attendedPairs(layout: Int32Array, window: number): number {
  let pairs = 0;
  for (const [queries, keys] of segmentsOf(layout)) pairs += seenKeys(keys - queries + 1, queries, window);
  return pairs;
}

/** Queries and keys of each segment of an `AttentionLayout`. */
function* segmentsOf(layout: Int32Array): Generator<[queries: number, keys: number]> {
  for (let at = 0; at + 2 < layout.length;) {
    const [queries = 0, ranges = 0] = [layout[at + 1], layout[at + 2]];
    let keys = 0;
    for (let range = 0; range < ranges; range++) keys += layout[at + 4 + 2 * range] ?? 0;
    yield [queries, keys];
    at += 3 + 2 * ranges;
  }
}

/** Σ over `queries` queries of min(first + i, window). */
function seenKeys(first: number, queries: number, window: number): number {
  const short = window === 0 ? queries : Math.min(queries, Math.max(0, window - first));
  return short * first + (short * (short - 1)) / 2 + (queries - short) * window;
}

/** Products of a head of attention with a pair: scores and sum; in backward scores again, dv, dp, dq and dk. */
export const attentionProducts = { forward: 2, backward: 5 } as const;

/** FLOP of attention over q [N,Hq·d]. */
export const attentionFlop = (pairs: number, width: number, products: number): number => 2 * pairs * width * products;

/** Rows of a chunk, and words of a block (crates/kernels/src/cpu/head.rs). */
const CHUNK = 1024;
const WORDS = 2016;

/** How many of `rows` labelled rows the fused losses take at a time. */
export const headRows = (rows: number): number => Math.min(rows, CHUNK);

/** Bytes that the fused losses hold for `rows` labelled rows: states, two buffers like them, and logits of a block. */
export const headScratch = (rows: number, width: number, vocabulary: number): number =>
  4 * headRows(rows) * (Math.min(vocabulary, WORDS) + 3 * width);

/** Copies of dq that tasks add to (crates/kernels/src/cpu/attention_backward.rs). */
const COPIES = 4;
const TASK_KEYS = 256;

/** Bytes that attention's backward pass holds: δ, and a copy of dq for each task of keys but the first. */
export function attentionScratch(rows: number, width: number, heads: number, longest: number): number {
  const copies = Math.min(COPIES, Math.max(1, Math.ceil(longest / TASK_KEYS)));
  return 4 * rows * (heads + (copies - 1) * width);
}

/** Keys of the longest segment. */
export function longestKeys(layout: Int32Array): number {
  let longest = 0;
  for (const [, keys] of segmentsOf(layout)) longest = Math.max(longest, keys);
  return longest;
}
