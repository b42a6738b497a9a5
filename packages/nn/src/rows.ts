// Activations are packed rows: the tokens of all sequences of a micro-batch one after another, without padding.
// A segment is a stretch of rows that attends causally to itself and to all it continues.

import type { Engine, Tensor } from "@welltempered/tensor";
import type { KvCache } from "./kv-cache.ts";

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
}

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

/** Key ranges of a segment: all it continues, oldest first, then itself. */
function ranges(segments: readonly Segment[], index: number): number[] {
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

/** The kernels' attention layout (`AttentionLayout`) for rows that attend to each other, or to a cache. */
export function attentionLayout(engine: Engine, rows: PackedRows, cache?: KvCache): Tensor {
  const words = rows.segments.flatMap((segment, index) => {
    const keys = cache === undefined ? ranges(rows.segments, index) : cache.rangeOf(index, segment.length);
    return [segment.start, segment.length, keys.length / 2, ...keys];
  });
  return engine.tensor(Int32Array.from(words));
}
