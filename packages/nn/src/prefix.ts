// What a PEFT method may put in front of every sequence. All sequences of a micro-batch share it, so it is computed once
// and each continues it: in the attention layout that is one more key range.

import { concatRows, takeRows, type Engine, type Tensor } from "@welltempered/tensor";
import type { CausalLM } from "./causal-lm.ts";
import type { KeyValueStore, KvCache } from "./kv-cache.ts";
import { Module } from "./module.ts";
import { continued, numbersFrom, rangesOf, shifted, type PackedRows } from "./rows.ts";

export abstract class Prefix extends Module {
  /** Positions it takes; a sequence begins at this one. */
  abstract readonly length: number;
  /** Hidden states [N,D] of rows that continue the prefix, without those of the prefix. */
  abstract forward(model: CausalLM, rows: PackedRows): Tensor;
  /** Writes the prefix into a cache whose `fillPrefix` runs; `longest` tokens has the longest sequence that continues it. */
  abstract fill(model: CausalLM, cache: KvCache, longest: number): void;
}

/** Rows that stand for no token of the vocabulary. */
export abstract class VirtualTokens extends Prefix {
  /** [P,D] */
  abstract embedded(): Tensor;

  forward(model: CausalLM, rows: PackedRows): Tensor {
    const embedded = concatRows(this.embedded(), model.embedRows(rows));
    const hidden = model.decode(embedded, continued(rows, this.length));
    return takeRows(hidden, hidden.engine.tensor(numbersFrom(this.length, rows.tokens.length)));
  }

  fill(model: CausalLM, cache: KvCache, longest: number): void {
    model.decode(this.embedded(), { ...prefixRows(this.length), longest }, cache);
  }
}

/** Keys and values of one layer. */
export interface LayerKeyValues {
  /** [P,Hk·d] */
  k: Tensor;
  v: Tensor;
}

/** Keys and values that no token made, for each attention layer. Keys are taken as they are, without rotation. */
export abstract class KeyValuePrefix extends Prefix {
  /** Called once a forward pass; what it returns is called once a layer. */
  abstract open(): (layer: number) => LayerKeyValues;

  forward(model: CausalLM, rows: PackedRows): Tensor {
    const store = new PrefixStore(model.headWeight.tensor.engine, this.length, this.open());
    return model.decode(model.embedRows(rows), shifted(rows, this.length), store);
  }

  fill(model: CausalLM, cache: KvCache): void {
    const slots = cache.slotsFor(prefixRows(this.length));
    const layerOf = this.open();
    for (let layer = 0; layer < model.cacheShape.layers; layer++) {
      const { k, v } = layerOf(layer);
      cache.extend(layer, slots, k, v);
    }
  }
}

/** The prefix in front of the rows' own keys and values. */
class PrefixStore implements KeyValueStore {
  readonly #engine: Engine;
  readonly #length: number;
  readonly #layerOf: (layer: number) => LayerKeyValues;

  constructor(engine: Engine, length: number, layerOf: (layer: number) => LayerKeyValues) {
    this.#engine = engine;
    this.#length = length;
    this.#layerOf = layerOf;
  }

  rangesOf(rows: PackedRows, segment: number): number[] {
    const own = rangesOf(rows.segments, segment).map((word, at) => (at % 2 === 0 ? word + this.#length : word));
    return [0, this.#length, ...own];
  }

  slotsFor(rows: PackedRows): Tensor {
    return this.#engine.tensor(numbersFrom(this.#length, rows.tokens.length));
  }

  extend(layer: number, _slots: Tensor, k: Tensor, v: Tensor): LayerKeyValues {
    const prefix = this.#layerOf(layer);
    return { k: concatRows(prefix.k, k), v: concatRows(prefix.v, v) };
  }

  advance(): void {}
}

const prefixRows = (length: number): PackedRows => ({
  tokens: new Int32Array(length),
  positions: numbersFrom(0, length),
  segments: [{ start: 0, length, parent: -1 }],
});
