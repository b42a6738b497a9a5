// Activations are packed rows: the tokens of all sequences of a micro-batch one after another, without padding.
// A segment is a stretch of rows that attends causally to itself and to all it continues.

import type { Engine, Tensor } from "@welltempered/tensor";
import type { KeyValueStore } from "./kv-cache.ts";

export interface Segment {
  /** First row. */
  start: number;
  /** Number of rows. */
  length: number;
  /** Index of the segment that this one continues (it must come earlier), or −1. */
  parent: number;
}

export interface PackedRows {
  /** Token ids [N]. */
  tokens: Int32Array;
  /** Position of each row in its sequence [N]. */
  positions: Int32Array;
  segments: readonly Segment[];
  /** What a framework with padding would pad each row to; the longest row's length where it is left out. */
  paddedLength?: number;
  /** Length of the longest sequence, where it is not among the rows. */
  longest?: number;
}

/** Length of the longest sequence that the rows belong to. */
export const longestOf = ({ longest, positions }: PackedRows): number =>
  longest ?? positions.reduce((max, position) => Math.max(max, position + 1), 1);

/** Sequences that do not see each other, positions from 0. */
export function packRows(sequences: readonly ArrayLike<number>[]): PackedRows {
  const total = sequences.reduce((sum, sequence) => sum + sequence.length, 0);
  const tokens = new Int32Array(total);
  const positions = new Int32Array(total);
  const segments: Segment[] = [];
  let start = 0;
  for (const sequence of sequences) {
    tokens.set(sequence, start);
    for (let row = 0; row < sequence.length; row++) positions[start + row] = row;
    segments.push({ start, length: sequence.length, parent: -1 });
    start += sequence.length;
  }
  return { tokens, positions, segments };
}

/** Key ranges of a segment among the rows: all it continues, oldest first, then itself. */
export function rangesOf(segments: readonly Segment[], index: number): number[] {
  const chain: number[] = [];
  for (let at = index; at >= 0;) {
    const segment = segments[at];
    if (segment === undefined) break;
    chain.unshift(segment.start, segment.length);
    if (segment.parent >= at)
      throw new RangeError(`segment ${at} continues segment ${segment.parent}, which does not come before it`);
    at = segment.parent;
  }
  return chain;
}

/** The kernels' attention layout (`AttentionLayout`) for rows that attend to each other, or to a store. */
export function attentionLayout(engine: Engine, rows: PackedRows, store?: KeyValueStore): Tensor {
  const words = rows.segments.flatMap((segment, index) => {
    const keys = store === undefined ? rangesOf(rows.segments, index) : store.rangesOf(rows, index);
    return [segment.start, segment.length, keys.length / 2, ...keys];
  });
  return engine.tensor(Int32Array.from(words));
}

/** The same rows as what comes after `length` rows that are not among them. */
export const shifted = (rows: PackedRows, length: number): PackedRows => ({
  ...rows,
  positions: rows.positions.map((position) => position + length),
});

/** The rows behind a first segment of `length` more, which every sequence continues. Its token ids mean nothing. */
export function continued(rows: PackedRows, length: number): PackedRows {
  const tokens = new Int32Array(length + rows.tokens.length);
  tokens.set(rows.tokens, length);
  const positions = numbersFrom(0, tokens.length);
  positions.set(shifted(rows, length).positions, length);
  const behind = rows.segments.map(({ start, length: own, parent }) => ({
    start: start + length,
    length: own,
    parent: parent + 1,
  }));
  return { tokens, positions, segments: [{ start: 0, length, parent: -1 }, ...behind] };
}

/** first, first + 1, … */
export const numbersFrom = (first: number, count: number): Int32Array =>
  Int32Array.from({ length: count }, (_, index) => first + index);
