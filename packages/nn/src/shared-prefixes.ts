// Sequences of a micro-batch that begin alike (a system prompt, the prompt of a pair, one question's completions) need
// their common tokens computed once: causal attention gives those rows the same hidden states in each. Segments that
// continue a parent say so to attention, and the gradient of a shared row collects from all that continue it.

import type { PackedRows, Segment } from "./rows.ts";

export interface SharedRows {
  /** Each common beginning once. */
  rows: PackedRows;
  /** Row of `rows` that stands for each row as it was [N]. */
  places: Int32Array;
}

/** Rows that must be saved for a segment of their own to pay: it costs attention another key range. */
const WORTH = 16;

/** The tree of what sequences have in common; undefined where nothing is worth sharing. */
export function sharePrefixes(rows: PackedRows): SharedRows | undefined {
  if (rows.segments.length < 2 || !rows.segments.every((segment) => startsAtZero(rows, segment))) return undefined;
  const tree = new Tree(rows);
  tree.grow(sorted(rows), 0, -1);
  return tree.size === rows.tokens.length ? undefined : tree.finish();
}

const startsAtZero = ({ positions }: PackedRows, { start, length, parent }: Segment): boolean =>
  parent < 0 && (length === 0 || (positions[start] === 0 && positions[start + length - 1] === length - 1));

/** Alike beginnings side by side. */
function sorted({ tokens, segments }: PackedRows): Segment[] {
  const token = ({ start }: Segment, at: number): number => tokens[start + at] ?? 0;
  return segments.toSorted((a, b) => {
    const common = commonLength(tokens, a, b);
    return common === Math.min(a.length, b.length) ? a.length - b.length : token(a, common) - token(b, common);
  });
}

function commonLength(tokens: Int32Array, a: Segment, b: Segment): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && tokens[a.start + length] === tokens[b.start + length]) length++;
  return length;
}

class Tree {
  readonly #old: PackedRows;
  readonly #segments: Segment[] = [];
  readonly #rows: number[] = [];
  readonly #places: Int32Array;

  constructor(old: PackedRows) {
    this.#old = old;
    this.#places = new Int32Array(old.tokens.length);
  }

  /** Rows so far. */
  get size(): number {
    return this.#rows.length;
  }

  /** Puts in sorted sequences that are there up to `depth`, as segment `parent` and those it continues. */
  grow(sequences: readonly Segment[], depth: number, parent: number): void {
    const [first, ...others] = sequences;
    const last = others.at(-1);
    if (first === undefined) return;
    if (last === undefined) return void this.#add(sequences, depth, first.length, parent);
    const common = commonLength(this.#old.tokens, first, last);
    const worth = (common - depth) * others.length >= WORTH;
    const [from, above] = worth ? [common, this.#add(sequences, depth, common, parent)] : [depth, parent];
    const { tokens } = this.#old;
    const next = ({ start, length }: Segment): number => (length > common ? (tokens[start + common] ?? 0) : -1);
    for (let group = 0; group < sequences.length;) {
      const members = sequences.slice(group).filter((sequence) => next(sequence) === next(sequences[group] ?? first));
      group += members.length;
      // Those that end here have nothing left in common.
      if (members.every((sequence) => next(sequence) >= 0)) this.grow(members, from, above);
      else for (const sequence of members) this.#add([sequence], from, sequence.length, above);
    }
  }

  /** Tokens `from` … `to` of sequences that have them in common. Returns the segment to continue. */
  #add(sequences: readonly Segment[], from: number, to: number, parent: number): number {
    const [first] = sequences;
    if (first === undefined || from === to) return parent;
    const start = this.size;
    for (let at = from; at < to; at++) {
      for (const sequence of sequences) this.#places[sequence.start + at] = this.size;
      this.#rows.push(first.start + at);
    }
    this.#segments.push({ start, length: to - from, parent });
    return this.#segments.length - 1;
  }

  finish(): SharedRows {
    const pick = (values: Int32Array): Int32Array => Int32Array.from(this.#rows, (row) => values[row] ?? 0);
    const { tokens, positions } = this.#old;
    const rows = { ...this.#old, tokens: pick(tokens), positions: pick(positions), segments: this.#segments };
    return { rows, places: this.#places };
  }
}
