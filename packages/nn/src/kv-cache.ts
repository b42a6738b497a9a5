import type { Engine, Tensor } from "@welltempered/tensor";
import type { PackedRows } from "./rows.ts";

export interface KvCacheOptions {
  layers: number;
  /** Channels of k and of v: key heads × head size. */
  width: number;
  sequences: number;
  /** Tokens a sequence can hold. */
  capacity: number;
  /** Length of the model's `Prefix`, which all sequences share. */
  prefix?: number;
}

/** Keys and values that the rows of a forward pass attend to beside, or instead of, their own. */
export interface KeyValueStore {
  /** Key ranges of a segment as pairs of start and length, oldest first; the last one holds its own rows. */
  rangesOf(rows: PackedRows, segment: number): number[];
  /** Where each of the rows goes, i32 [N]. */
  slotsFor(rows: PackedRows): Tensor;
  /** Takes the new keys and values of a layer and returns all that the ranges count in. */
  extend(layer: number, slots: Tensor, k: Tensor, v: Tensor): { k: Tensor; v: Tensor };
  /** Counts the rows of a finished forward pass as held. */
  advance(rows: PackedRows): void;
}

/** The number of the sequence that is every other's prefix. */
const prefixSequence = -1;

/**
 * Keys and values of tokens already seen: per layer two [prefix + sequences · capacity, width] tensors, written in place.
 * In a forward pass with a cache, segment i of the rows continues sequence `active[i]`.
 */
export class KvCache implements KeyValueStore {
  readonly engine: Engine;
  readonly capacity: number;
  readonly prefix: number;
  prefixFilled = false;
  /** Tokens held, a sequence. */
  readonly lengths: Int32Array;
  /** Which sequences the segments of the next rows belong to. */
  active: readonly number[];
  readonly #keys: Tensor[] = [];
  readonly #values: Tensor[] = [];

  constructor(engine: Engine, { layers, width, sequences, capacity, prefix = 0 }: KvCacheOptions) {
    this.engine = engine;
    this.capacity = capacity;
    this.prefix = prefix;
    this.lengths = new Int32Array(sequences);
    this.active = Array.from({ length: sequences }, (_, index) => index);
    for (let layer = 0; layer < layers; layer++) {
      this.#keys.push(engine.keep(engine.zeros([prefix + sequences * capacity, width])));
      this.#values.push(engine.keep(engine.zeros([prefix + sequences * capacity, width])));
    }
  }

  #sequence(segment: number): number {
    return this.active[segment] ?? 0;
  }

  #base(segment: number): number {
    const sequence = this.#sequence(segment);
    return sequence === prefixSequence ? 0 : this.prefix + sequence * this.capacity;
  }

  #held(segment: number): number {
    return this.lengths[this.#sequence(segment)] ?? 0;
  }

  /** The prefix, everything the segment's sequence holds, and the new rows. */
  rangesOf(rows: PackedRows, segment: number): number[] {
    const { length = 0 } = rows.segments[segment] ?? {};
    const own = [this.#base(segment), this.#held(segment) + length];
    const alone = this.prefix === 0 || this.#sequence(segment) === prefixSequence;
    return alone ? own : [0, this.prefix, ...own];
  }

  /** Runs `body`, a forward pass of one segment or what stands for it, as the prefix of every sequence. */
  fillPrefix(body: () => void): void {
    const { active } = this;
    this.active = [prefixSequence];
    try {
      body();
      this.prefixFilled = true;
    } finally {
      this.active = active;
    }
  }

  /** @throws {RangeError} where a sequence is full */
  slotsFor(rows: PackedRows): Tensor {
    const slots = new Int32Array(rows.tokens.length);
    for (const [index, { start, length }] of rows.segments.entries()) {
      const held = this.#held(index);
      const room = this.#sequence(index) === prefixSequence ? this.prefix : this.capacity;
      if (held + length > room)
        throw new RangeError(`the cache holds ${room} tokens a sequence, ${held + length} were needed`);
      for (let row = 0; row < length; row++) slots[start + row] = this.#base(index) + held + row;
    }
    return this.engine.tensor(slots);
  }

  extend(layer: number, slots: Tensor, k: Tensor, v: Tensor): { k: Tensor; v: Tensor } {
    const [keys, values] = [this.#keys[layer], this.#values[layer]];
    if (keys === undefined || values === undefined) throw new RangeError(`the cache has no layer ${layer}`);
    this.engine.backend.writeRows(keys.slot, slots.slot, k.slot);
    this.engine.backend.writeRows(values.slot, slots.slot, v.slot);
    return { k: keys, v: values };
  }

  advance(rows: PackedRows): void {
    for (const [index, { length }] of rows.segments.entries()) {
      const sequence = this.#sequence(index);
      if (sequence !== prefixSequence) this.lengths[sequence] = (this.lengths[sequence] ?? 0) + length;
    }
  }

  /** Forgets all it holds, the prefix too. */
  clear(): void {
    this.lengths.fill(0);
    this.prefixFilled = false;
  }

  dispose(): void {
    for (const tensor of [...this.#keys, ...this.#values]) tensor.dispose();
  }
}
