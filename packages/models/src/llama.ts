// LlamaForCausalLM (Touvron et al. 2023): pre-norm decoder with RoPE, grouped-query attention and SwiGLU.
// Attribute names are the checkpoint's tensor names.

import {
  attentionLayout,
  CausalLM,
  Embedding,
  Linear,
  Module,
  Residual,
  RmsNorm,
  type KeyValueStore,
  type PackedRows,
  type Projection,
} from "@welltempered/nn";
import {
  attention,
  rope,
  ropeTable,
  swiglu,
  type Engine,
  type RopeTable,
  type Shape,
  type Tensor,
} from "@welltempered/tensor";
import { ModelConfigError } from "./errors.ts";
import { booleanField, integerField, numberField, show, type ConfigRecord } from "./fields.ts";
import { parameter, type Architecture, type Weights } from "./model.ts";
import { readRope, ropeFrequencies, type RopeConfig } from "./rope.ts";

export interface LlamaConfig {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  rmsNormEps: number;
  tied: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  rope: RopeConfig;
}

/** @throws {ModelConfigError} naming the key */
export function readLlamaConfig(config: ConfigRecord): LlamaConfig {
  const hiddenSize = integerField(config, "hidden_size");
  const numHeads = integerField(config, "num_attention_heads");
  const numKeyValueHeads = integerField(config, "num_key_value_heads", numHeads);
  if (numHeads % numKeyValueHeads !== 0) {
    throw new ModelConfigError(
      "num_key_value_heads",
      `is ${numKeyValueHeads}; it must divide num_attention_heads (${numHeads})`,
    );
  }
  if ((config["head_dim"] ?? undefined) === undefined && hiddenSize % numHeads !== 0) {
    throw new ModelConfigError(
      "hidden_size",
      `is ${hiddenSize}; it must be a multiple of num_attention_heads (${numHeads})`,
    );
  }
  const headDim = integerField(config, "head_dim", hiddenSize / numHeads);
  if (headDim % 2 !== 0) throw new ModelConfigError("head_dim", `is ${headDim}; it must be even`);
  const activation = config["hidden_act"] ?? "silu";
  if (activation !== "silu") throw new ModelConfigError("hidden_act", `is ${show(activation)}; supported is "silu"`);
  return {
    vocabSize: integerField(config, "vocab_size"),
    hiddenSize,
    intermediateSize: integerField(config, "intermediate_size"),
    numLayers: integerField(config, "num_hidden_layers", undefined, 4096),
    numHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: numberField(config, "rms_norm_eps", 1e-6),
    tied: booleanField(config, "tie_word_embeddings", false),
    attentionBias: booleanField(config, "attention_bias", false),
    mlpBias: booleanField(config, "mlp_bias", false),
    rope: readRope(config),
  };
}

/** What every layer of one forward pass shares. */
interface Pass {
  ropeTable: RopeTable;
  layout: Tensor;
  cache: { store: KeyValueStore; slots: Tensor } | undefined;
}

class LlamaAttention extends Module {
  q_proj: Projection;
  k_proj: Projection;
  v_proj: Projection;
  o_proj: Projection;
  readonly #config: LlamaConfig;
  readonly #layer: number;

  constructor(
    config: LlamaConfig,
    layer: number,
    make: (name: string, out: number, inn: number, bias: boolean) => Linear,
  ) {
    super();
    const { hiddenSize, headDim, attentionBias } = config;
    const [queries, keys] = [config.numHeads * headDim, config.numKeyValueHeads * headDim];
    this.#config = config;
    this.#layer = layer;
    this.q_proj = make("q_proj", queries, hiddenSize, attentionBias);
    this.k_proj = make("k_proj", keys, hiddenSize, attentionBias);
    this.v_proj = make("v_proj", keys, hiddenSize, attentionBias);
    this.o_proj = make("o_proj", hiddenSize, queries, attentionBias);
  }

  forward(x: Tensor, pass: Pass): Tensor {
    const { headDim } = this.#config;
    const q = rope(this.q_proj.forward(x), pass.ropeTable, headDim);
    let k = rope(this.k_proj.forward(x), pass.ropeTable, headDim);
    let v = this.v_proj.forward(x);
    if (pass.cache !== undefined) ({ k, v } = pass.cache.store.extend(this.#layer, pass.cache.slots, k, v));
    return this.o_proj.forward(attention(q, k, v, pass.layout, { headDim, scale: headDim ** -0.5 }));
  }
}

class LlamaMlp extends Module {
  gate_proj: Projection;
  up_proj: Projection;
  down_proj: Projection;

  constructor(
    { hiddenSize, intermediateSize, mlpBias }: LlamaConfig,
    make: (name: string, out: number, inn: number, bias: boolean) => Linear,
  ) {
    super();
    this.gate_proj = make("gate_proj", intermediateSize, hiddenSize, mlpBias);
    this.up_proj = make("up_proj", intermediateSize, hiddenSize, mlpBias);
    this.down_proj = make("down_proj", hiddenSize, intermediateSize, mlpBias);
  }

  forward(x: Tensor): Tensor {
    return this.down_proj.forward(swiglu(this.gate_proj.forward(x), this.up_proj.forward(x)));
  }
}

class LlamaDecoderLayer extends Module {
  self_attn: LlamaAttention;
  mlp: LlamaMlp;
  input_layernorm: RmsNorm;
  post_attention_layernorm: RmsNorm;
  attention_residual: Residual = new Residual();
  mlp_residual: Residual = new Residual();

  constructor(engine: Engine, config: LlamaConfig, layer: number, weights: Weights) {
    super();
    const path = `model.layers.${layer}`;
    const norm = (name: string): RmsNorm =>
      new RmsNorm(parameter(engine, weights, `${path}.${name}.weight`, [config.hiddenSize]), config.rmsNormEps);
    const maker =
      (block: string) =>
      (name: string, out: number, inn: number, bias: boolean): Linear =>
        makeLinear(engine, weights, `${path}.${block}.${name}`, out, inn, bias);
    this.self_attn = new LlamaAttention(config, layer, maker("self_attn"));
    this.mlp = new LlamaMlp(config, maker("mlp"));
    this.input_layernorm = norm("input_layernorm");
    this.post_attention_layernorm = norm("post_attention_layernorm");
  }

  /** x [N,D] → [N,D] */
  forward(x: Tensor, pass: Pass): Tensor {
    const attended = this.attention_residual.forward(x, this.self_attn.forward(this.input_layernorm.forward(x), pass));
    return this.mlp_residual.forward(attended, this.mlp.forward(this.post_attention_layernorm.forward(attended)));
  }
}

class LlamaModel extends Module {
  embed_tokens: Embedding;
  layers: LlamaDecoderLayer[];
  norm: RmsNorm;

  constructor(engine: Engine, config: LlamaConfig, weights: Weights) {
    super();
    this.embed_tokens = new Embedding(
      parameter(engine, weights, "model.embed_tokens.weight", [config.vocabSize, config.hiddenSize]),
    );
    this.layers = Array.from(
      { length: config.numLayers },
      (_, layer) => new LlamaDecoderLayer(engine, config, layer, weights),
    );
    this.norm = new RmsNorm(parameter(engine, weights, "model.norm.weight", [config.hiddenSize]), config.rmsNormEps);
  }
}

export class LlamaForCausalLM extends CausalLM {
  model: LlamaModel;
  lm_head: Linear;
  readonly #engine: Engine;
  readonly #config: LlamaConfig;

  constructor(engine: Engine, config: LlamaConfig, weights: Weights) {
    super();
    this.#engine = engine;
    this.#config = config;
    this.model = new LlamaModel(engine, config, weights);
    this.lm_head = config.tied
      ? new Linear(this.model.embed_tokens.weight)
      : makeLinear(engine, weights, "lm_head", config.vocabSize, config.hiddenSize, false);
  }

  get cacheShape(): { layers: number; width: number } {
    return { layers: this.#config.numLayers, width: this.#config.numKeyValueHeads * this.#config.headDim };
  }

  embed(tokens: Int32Array): Tensor {
    return this.model.embed_tokens.forward(this.#engine.tensor(tokens));
  }

  decode(embedded: Tensor, rows: PackedRows, cache?: KeyValueStore): Tensor {
    const engine = this.#engine;
    const pass = this.#pass(rows, cache);
    let x = embedded;
    // A scope a layer: what no backward pass needs is freed at once.
    for (const layer of this.model.layers) x = engine.scope(() => layer.forward(x, pass));
    cache?.advance(rows);
    return this.model.norm.forward(x);
  }

  #pass(rows: PackedRows, cache: KeyValueStore | undefined): Pass {
    const { rope: config, headDim } = this.#config;
    const longest = rows.positions.reduce((max, position) => Math.max(max, position), 0) + 1;
    return {
      ropeTable: ropeTable(this.#engine.tensor(rows.positions), ropeFrequencies(config, headDim, longest)),
      layout: attentionLayout(this.#engine, rows, cache),
      cache: cache === undefined ? undefined : { store: cache, slots: cache.slotsFor(rows) },
    };
  }
}

function makeLinear(engine: Engine, weights: Weights, path: string, out: number, inn: number, bias: boolean): Linear {
  const weight = parameter(engine, weights, `${path}.weight`, [out, inn]);
  return bias ? new Linear(weight, parameter(engine, weights, `${path}.bias`, [out])) : new Linear(weight);
}

function llamaShapes(config: LlamaConfig): Map<string, Shape> {
  const { hiddenSize: d, intermediateSize: f, headDim } = config;
  const [q, kv] = [config.numHeads * headDim, config.numKeyValueHeads * headDim];
  const shapes = new Map<string, Shape>([
    ["model.embed_tokens.weight", [config.vocabSize, d]],
    ["model.norm.weight", [d]],
  ]);
  if (!config.tied) shapes.set("lm_head.weight", [config.vocabSize, d]);
  const projections: [string, number, number, boolean][] = [
    ["self_attn.q_proj", q, d, config.attentionBias],
    ["self_attn.k_proj", kv, d, config.attentionBias],
    ["self_attn.v_proj", kv, d, config.attentionBias],
    ["self_attn.o_proj", d, q, config.attentionBias],
    ["mlp.gate_proj", f, d, config.mlpBias],
    ["mlp.up_proj", f, d, config.mlpBias],
    ["mlp.down_proj", d, f, config.mlpBias],
  ];
  for (let layer = 0; layer < config.numLayers; layer++) {
    const path = `model.layers.${layer}`;
    for (const norm of ["input_layernorm", "post_attention_layernorm"]) shapes.set(`${path}.${norm}.weight`, [d]);
    for (const [name, out, inn, bias] of projections) {
      shapes.set(`${path}.${name}.weight`, [out, inn]);
      if (bias) shapes.set(`${path}.${name}.bias`, [out]);
    }
  }
  return shapes;
}

/** The `llama` architecture. @throws {ModelConfigError} naming the key of config.json */
export function llama(record: ConfigRecord): Architecture {
  const config = readLlamaConfig(record);
  return {
    expectedWeights: () => llamaShapes(config),
    build: (engine, weights) => new LlamaForCausalLM(engine, config, weights),
  };
}
