// GGUF's llama architecture in Hugging Face's terms: the LlamaConfig of its metadata, tensor names, and which rows
// llama.cpp's converter permuted (transformers, modeling_gguf_pytorch_utils.py: LlamaTensorProcessor).
import { FormatsError } from "./errors.ts";
import type { GgufHeader } from "./gguf.ts";
import {
  type GgufFields,
  fieldError,
  optionalFloat,
  optionalInteger,
  optionalString,
  requiredInteger,
} from "./gguf-fields.ts";
import type { JsonObject } from "./json.ts";

const outer = new Map([
  ["token_embd.weight", "model.embed_tokens.weight"],
  ["output_norm.weight", "model.norm.weight"],
  ["output.weight", "lm_head.weight"],
]);

const inBlock = new Map([
  ["attn_q", "self_attn.q_proj"],
  ["attn_k", "self_attn.k_proj"],
  ["attn_v", "self_attn.v_proj"],
  ["attn_output", "self_attn.o_proj"],
  ["ffn_gate", "mlp.gate_proj"],
  ["ffn_up", "mlp.up_proj"],
  ["ffn_down", "mlp.down_proj"],
  ["attn_norm", "input_layernorm"],
  ["ffn_norm", "post_attention_layernorm"],
]);

/** The Hugging Face name of a llama tensor of a GGUF file; undefined where Hugging Face has no such tensor. */
export function llamaTensorName(ggufName: string): string | undefined {
  const [, block, part = "", kind] = /^blk\.(0|[1-9]\d{0,5})\.([a-z_]+)\.(weight|bias)$/.exec(ggufName) ?? [];
  const module = inBlock.get(part);
  return module ? `model.layers.${block}.${module}.${kind}` : outer.get(ggufName);
}

/** Heads over which llama.cpp interleaved the rows of this tensor; undefined where it did not. */
export function permutedHeads(ggufName: string, config: JsonObject): number | undefined {
  if (ggufName.includes(".attn_q.")) return Number(config["num_attention_heads"]);
  return ggufName.includes(".attn_k.") ? Number(config["num_key_value_heads"]) : undefined;
}

/**
 * Rows in Hugging Face's order. The converter stored head rows as pairs (0, d/2, 1, d/2+1, …) for its interleaved RoPE;
 * here row 2i+j of a head goes back to row j·d/2+i.
 */
export function unpermuteRows(bytes: Uint8Array, numRows: number, numHeads: number): Uint8Array {
  const rowBytes = bytes.length / numRows;
  const headRows = numRows / numHeads;
  const half = headRows / 2;
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < numRows; row++) {
    const inHead = row % headRows;
    const target = row - inHead + (inHead % 2) * half + (inHead >> 1);
    result.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), target * rowBytes);
  }
  return result;
}

/** Config of a llama GGUF file as transformers' LlamaConfig writes it, without a prototype. `ropeFactors`: rope_freqs.weight. */
export function llamaConfig(header: GgufHeader, file: string, ropeFactors?: Float32Array): JsonObject {
  const fields: GgufFields = { file, metadata: header.metadata };
  checkArchitecture(fields);
  const config: JsonObject = Object.assign(Object.create(null), {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    ...readSizes(fields, header),
    rms_norm_eps: optionalFloat(fields, "llama.attention.layer_norm_rms_epsilon") ?? 1e-6,
    rope_theta: optionalFloat(fields, "llama.rope.freq_base") ?? 10000,
    attention_bias: header.tensors.has("blk.0.attn_q.bias"),
    mlp_bias: header.tensors.has("blk.0.ffn_gate.bias"),
    tie_word_embeddings: !header.tensors.has("output.weight"),
  });
  for (const [key, id] of [
    ["bos_token_id", "bos"],
    ["eos_token_id", "eos"],
    ["pad_token_id", "padding"],
  ] as const) {
    const value = optionalInteger(fields, `tokenizer.ggml.${id}_token_id`);
    if (value !== undefined) config[key] = value;
  }
  const scaling = readRopeScaling(fields, config, ropeFactors);
  if (scaling) config["rope_scaling"] = scaling;
  return config;
}

function checkArchitecture(fields: GgufFields): void {
  const key = "general.architecture";
  const architecture = optionalString(fields, key);
  if (architecture === undefined) throw fieldError(fields, key, "is missing");
  if (architecture !== "llama")
    throw new FormatsError(
      "GGUF_METADATA",
      `${fields.file}:${key}`,
      `architecture "${architecture.slice(0, 40)}" is not supported`,
      "use a GGUF file of the llama architecture",
    );
  if ((optionalInteger(fields, "llama.expert_count") ?? 0) > 0)
    throw new FormatsError(
      "GGUF_METADATA",
      `${fields.file}:llama.expert_count`,
      "a mixture of experts is not supported",
      "use a dense model",
    );
}

function readSizes(fields: GgufFields, header: GgufHeader): Record<string, number> {
  const hidden = requiredInteger(fields, "llama.embedding_length");
  const heads = requiredInteger(fields, "llama.attention.head_count");
  const kvHeads = optionalInteger(fields, "llama.attention.head_count_kv") ?? heads;
  const rotary = optionalInteger(fields, "llama.rope.dimension_count");
  const headDim = optionalInteger(fields, "llama.attention.key_length") ?? rotary ?? hidden / heads;
  if (!heads || !kvHeads || heads % kvHeads !== 0)
    throw fieldError(
      fields,
      "llama.attention.head_count",
      `${heads} query heads do not divide over ${kvHeads} key heads`,
    );
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw fieldError(fields, "llama.rope.dimension_count", `head size ${headDim} is not even`);
  if (rotary !== undefined && rotary !== headDim)
    throw fieldError(
      fields,
      "llama.rope.dimension_count",
      `rotates ${rotary} of ${headDim} channels, which LlamaForCausalLM cannot`,
    );
  return {
    hidden_size: hidden,
    intermediate_size: requiredInteger(fields, "llama.feed_forward_length"),
    num_hidden_layers: requiredInteger(fields, "llama.block_count"),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    max_position_embeddings: requiredInteger(fields, "llama.context_length"),
    vocab_size: optionalInteger(fields, "llama.vocab_size") ?? header.tensors.get("token_embd.weight")?.shape[0] ?? 0,
  };
}

function readRopeScaling(
  fields: GgufFields,
  config: JsonObject,
  ropeFactors: Float32Array | undefined,
): JsonObject | undefined {
  const type = optionalString(fields, "llama.rope.scaling.type");
  const factor = optionalFloat(fields, "llama.rope.scaling.factor") ?? optionalFloat(fields, "llama.rope.scale_linear");
  const original = optionalInteger(fields, "llama.rope.scaling.original_context_length");
  if (ropeFactors) return llama3Scaling(fields, config, ropeFactors, original);
  if (type === "none" || factor === undefined || (type === undefined && factor === 1)) return undefined;
  const scaling: JsonObject = Object.assign(Object.create(null), { rope_type: type ?? "linear", factor });
  if (original !== undefined) scaling["original_max_position_embeddings"] = original;
  return scaling;
}

// llama.cpp stores Llama 3's frequency scaling only as its result, one divisor a frequency. Every published model has
// low 1 and high 4, so the factor (the largest divisor) and the original length are all there is to find.
function llama3Scaling(
  fields: GgufFields,
  config: JsonObject,
  divisors: Float32Array,
  original: number | undefined,
): JsonObject {
  const [theta, headDim] = [Number(config["rope_theta"]), Number(config["head_dim"])];
  const factor = Math.max(...divisors);
  for (const length of [original, 8192, 4096, 2048, 16384, 32768].filter((value) => value !== undefined)) {
    const wanted = llama3Divisors(theta, headDim, factor, length);
    const fits =
      divisors.length === wanted.length &&
      wanted.every((value, i) => Math.abs(value - (divisors[i] ?? 0)) <= 1e-5 * value);
    if (fits)
      return Object.assign(Object.create(null), {
        rope_type: "llama3",
        factor,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: length,
      });
  }
  throw fieldError(fields, "rope_freqs.weight", "holds frequency factors that are not Llama 3's");
}

/** convert_hf_to_gguf.py, LlamaModel: generate_extra_tensors. */
function llama3Divisors(theta: number, headDim: number, factor: number, length: number): number[] {
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (wavelength < length / 4) return 1;
    if (wavelength > length) return factor;
    const smooth = (length / wavelength - 1) / 3;
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
