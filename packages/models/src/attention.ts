// Grouped-query attention (Ainslie et al. 2023) with rotary positions, over packed rows or a KV cache.

import { Module, type KeyValueStore, type Projection, type RmsNorm } from "@welltempered/nn";
import { attention, rope, type RopeTable, type Tensor } from "@welltempered/tensor";
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModuleSource } from "./module-source.ts";

/** What every layer of one forward pass shares. */
export interface Pass {
  ropeTable: RopeTable;
  layout: Tensor;
  cache: { store: KeyValueStore; slots: Tensor } | undefined;
}

export interface AttentionSettings {
  /** Which layer of the cache. */
  layer: number;
  /** Multiplies the scores; 1/√headDim unless given. */
  scale?: number;
  /** Sliding window in tokens; 0, the default: none. */
  window?: number;
  /** Soft cap of the scores; 0, the default: none. */
  softCap?: number;
}

export interface QueryKeyValue {
  /** [N, numHeads · headDim] */
  q: Tensor;
  /** [N, numKeyValueHeads · headDim] */
  k: Tensor;
  v: Tensor;
}

/** All but the projections into queries, keys and values. */
export abstract class Attention extends Module {
  abstract o_proj: Projection;
  readonly #headDim: number;
  readonly #settings: Required<AttentionSettings>;

  constructor({ headDim }: DecoderConfig, settings: AttentionSettings) {
    super();
    this.#headDim = headDim;
    this.#settings = { scale: headDim ** -0.5, window: 0, softCap: 0, ...settings };
  }

  /** Before rotation, in memory that nobody else holds. */
  protected abstract project(x: Tensor): QueryKeyValue;

  /** x [N,D] → [N,D] */
  forward(x: Tensor, { ropeTable, layout, cache }: Pass): Tensor {
    const { layer, scale, window, softCap } = this.#settings;
    const headDim = this.#headDim;
    const projected = this.project(x);
    const q = rope(projected.q, ropeTable, headDim);
    let k = rope(projected.k, ropeTable, headDim);
    let { v } = projected;
    if (cache !== undefined) ({ k, v } = cache.store.extend(layer, cache.slots, k, v));
    return this.o_proj.forward(attention(q, k, v, layout, { headDim, scale, window, softCap }));
  }
}

/** A projection each for queries, keys and values. */
export class SeparateAttention extends Attention {
  q_proj: Projection;
  k_proj: Projection;
  v_proj: Projection;
  o_proj: Projection;

  constructor(source: ModuleSource, config: DecoderConfig, settings: AttentionSettings) {
    super(config, settings);
    this.q_proj = source.linear("q_proj");
    this.k_proj = source.linear("k_proj");
    this.v_proj = source.linear("v_proj");
    this.o_proj = source.linear("o_proj");
  }

  protected project(x: Tensor): QueryKeyValue {
    return { q: this.q_proj.forward(x), k: this.k_proj.forward(x), v: this.v_proj.forward(x) };
  }
}

/** Queries and keys are normalised before they turn: head by head or all together, as their norms are wide. */
export class NormedAttention extends SeparateAttention {
  q_norm: RmsNorm;
  k_norm: RmsNorm;

  constructor(source: ModuleSource, config: DecoderConfig, settings: AttentionSettings) {
    super(source, config, settings);
    this.q_norm = source.norm("q_norm", config.rmsNormEps);
    this.k_norm = source.norm("k_norm", config.rmsNormEps);
  }

  protected override project(x: Tensor): QueryKeyValue {
    const { q, k, v } = super.project(x);
    return { q: this.q_norm.forward(q), k: this.k_norm.forward(k), v };
  }
}
