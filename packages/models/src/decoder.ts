// A decoder-only model around the layers that its architecture file describes.

import {
  attentionLayout,
  CausalLM,
  Linear,
  longestOf,
  Module,
  type Embedding,
  type KeyValueStore,
  type PackedRows,
  type RmsNorm,
} from "@welltempered/nn";
import { recompute, ropeTable, scale, type Engine, type Tensor } from "@welltempered/tensor";
import type { Pass } from "./attention.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import { summed, summedAndNormed, type DecoderLayer, type ResidualStream } from "./decoder-layer.ts";
import type { Architecture, Weights } from "./model.ts";
import { ModuleSource } from "./module-source.ts";
import { checkRope, ropeAmplitude, ropeBorder, ropeFrequencies } from "./rope.ts";
import { decoderTensors, type Tensors } from "./tensors.ts";

/** What an architecture file says about its model. */
export interface DecoderPlan {
  /** The tensors of one layer, named below `model.layers.<index>`. */
  layerTensors: Tensors;
  layer(source: ModuleSource, index: number): DecoderLayer;
  /** Multiplies the embeddings; 1 unless given. */
  embeddingScale?: number;
  /** Channels of a head that turn with the position, the first ones; all unless given. */
  rotaryDim?: number;
  /** Norms multiply by weight + offset; 0 unless given. */
  normOffset?: number;
  /** Soft cap of the logits; 0, the default: none. */
  logitSoftCap?: number;
  /** See `Architecture`; none unless given. */
  floatFields?: readonly string[];
}

/** The checkpoint's `model`: everything but the head. */
class DecoderStack extends Module {
  embed_tokens: Embedding;
  layers: DecoderLayer[];
  norm: RmsNorm;

  constructor(source: ModuleSource, { numLayers, rmsNormEps }: DecoderConfig, { layer, normOffset = 0 }: DecoderPlan) {
    super();
    this.embed_tokens = source.embedding("embed_tokens");
    this.layers = Array.from({ length: numLayers }, (_, index) => layer(source.at(`layers.${index}`), index));
    this.norm = source.norm("norm", rmsNormEps, normOffset);
  }
}

export class DecoderLM extends CausalLM {
  model: DecoderStack;
  lm_head: Linear;
  override readonly logitSoftCap: number;
  override readonly cacheBorder: number;
  readonly #engine: Engine;
  readonly #config: DecoderConfig;
  readonly #plan: DecoderPlan;

  constructor(engine: Engine, weights: Weights, config: DecoderConfig, plan: DecoderPlan) {
    super();
    const source = new ModuleSource(engine, weights, decoderTensors(config, plan.layerTensors));
    this.#engine = engine;
    this.#config = config;
    this.#plan = plan;
    this.logitSoftCap = plan.logitSoftCap ?? 0;
    this.cacheBorder = ropeBorder(config.rope);
    this.model = new DecoderStack(source.at("model"), config, plan);
    this.lm_head = config.tied ? new Linear(this.model.embed_tokens.weight) : source.linear("lm_head");
  }

  get cacheShape(): { layers: number; width: number } {
    return { layers: this.#config.numLayers, width: this.#config.numKeyValueHeads * this.#config.headDim };
  }

  embed(tokens: Int32Array): Tensor {
    const embedded = this.model.embed_tokens.forward(this.#engine.tensor(tokens));
    const { embeddingScale } = this.#plan;
    return embeddingScale === undefined ? embedded : scale(embedded, embeddingScale);
  }

  decode(embedded: Tensor, rows: PackedRows, cache?: KeyValueStore): Tensor {
    const pass = this.#pass(rows, cache);
    let stream: ResidualStream = { x: embedded };
    const again = this.recomputes && cache === undefined;
    for (const layer of this.model.layers) {
      stream = again
        ? { x: this.#recomputed(layer, stream.x, pass) }
        : // A scope a layer: what no backward pass needs is freed at once.
          this.#engine.scope(() => layer.forward(stream, pass));
    }
    cache?.advance(rows);
    return summedAndNormed(stream, this.model.norm)[1];
  }

  /** A layer that keeps nothing but its input: one tensor, so the sum at its end is its own. */
  #recomputed(layer: DecoderLayer, x: Tensor, pass: Pass): Tensor {
    return recompute(this.#engine, [x], ([input = x]) => summed(layer.forward({ x: input }, pass)));
  }

  #pass(rows: PackedRows, cache: KeyValueStore | undefined): Pass {
    const { rope, headDim } = this.#config;
    const frequencies = ropeFrequencies(rope, this.#plan.rotaryDim ?? headDim, longestOf(rows));
    return {
      ropeTable: ropeTable(this.#engine.tensor(rows.positions), frequencies, ropeAmplitude(rope)),
      layout: attentionLayout(this.#engine, rows, cache),
      cache: cache === undefined ? undefined : { store: cache, slots: cache.slotsFor(rows) },
    };
  }
}

/** The architecture of a plan. */
export function decoder(config: DecoderConfig, plan: DecoderPlan): Architecture {
  checkRope(config.rope, plan.rotaryDim ?? config.headDim);
  return {
    expectedWeights: () => decoderTensors(config, plan.layerTensors),
    build: (engine, weights) => new DecoderLM(engine, weights, config, plan),
    freshNorm: 1 - (plan.normOffset ?? 0),
    floatFields: plan.floatFields ?? [],
  };
}
