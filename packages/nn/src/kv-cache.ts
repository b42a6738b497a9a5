import type { Engine, Tensor } from "@welltempered/tensor";
import type { PackedRows } from "./rows.ts";

export interface KvCacheOptions {
  layers: number;
  /** Channels of k and of v: key heads × head size. */
  width: number;
  sequences: number;
  /** Tokens a sequence can hold. */
  capacity: number;
}

/**
 * Keys and values of tokens already seen: per layer two [sequences · capacity, width] tensors, written in place.
 * In a forward pass with a cache, segment i of the rows continues sequence `active[i]`.
 */
export class KvCache {
  readonly engine: Engine;
  readonly capacity: number;
  /** Tokens held, a sequence. */
  readonly lengths: Int32Array;
  /** Which sequences the segments of the next rows belong to. */
  active: readonly number[];
  readonly #keys: Tensor[] = [];
  readonly #values: Tensor[] = [];

  constructor(engine: Engine, { layers, width, sequences, capacity }: KvCacheOptions) {
    this.engine = engine;
    this.capacity = capacity;
    this.lengths = new Int32Array(sequences);
    this.active = Array.from({ length: sequences }, (_, index) => index);
    for (let layer = 0; layer < layers; layer++) {
      this.#keys.push(engine.keep(engine.zeros([sequences * capacity, width])));
      this.#values.push(engine.keep(engine.zeros([sequences * capacity, width])));
    }
  }

  #base(segment: number): number {
    return (this.active[segment] ?? 0) * this.capacity;
  }

  #held(segment: number): number {
    return this.lengths[this.active[segment] ?? 0] ?? 0;
  }

  /** Key range of a segment: everything its sequence holds, and the new rows. */
  rangeOf(segment: number, length: number): [start: number, length: number] {
    return [this.#base(segment), this.#held(segment) + length];
  }

  /** Where each of the rows goes, i32 [N]. @throws {RangeError} where a sequence is full */
  slotsFor(rows: PackedRows): Tensor {
    const slots = new Int32Array(rows.tokens.length);
    for (const [index, { start, length }] of rows.segments.entries()) {
      const held = this.#held(index);
      if (held + length > this.capacity)
        throw new RangeError(`the cache holds ${this.capacity} tokens a sequence, ${held + length} were needed`);
      for (let row = 0; row < length; row++) slots[start + row] = this.#base(index) + held + row;
    }
    return this.engine.tensor(slots);
  }

  /** Writes the new keys and values of a layer and returns all of that layer. */
  extend(layer: number, slots: Tensor, k: Tensor, v: Tensor): { k: Tensor; v: Tensor } {
    const [keys, values] = [this.#keys[layer], this.#values[layer]];
    if (keys === undefined || values === undefined) throw new RangeError(`the cache has no layer ${layer}`);
    this.engine.backend.writeRows(keys.slot, slots.slot, k.slot);
    this.engine.backend.writeRows(values.slot, slots.slot, v.slot);
    return { k: keys, v: values };
  }

  /** Counts the rows of a finished forward pass as held. */
  advance(rows: PackedRows): void {
    for (const [index, { length }] of rows.segments.entries()) {
      const sequence = this.active[index] ?? 0;
      this.lengths[sequence] = (this.lengths[sequence] ?? 0) + length;
    }
  }

  dispose(): void {
    for (const tensor of [...this.#keys, ...this.#values]) tensor.dispose();
  }
}
