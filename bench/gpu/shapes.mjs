// What bench/gpu trains: shapes, of which bench/large takes one, settings, token ids, and how many operations a token takes.

const llama = { rms_norm_eps: 1e-5, hidden_act: "silu", max_position_embeddings: 8192 };
export const models = {
  "Llama-3.1-8B": {
    ...llama,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    vocab_size: 128256,
    rope_theta: 500000,
    tie_word_embeddings: false,
  },
  "Llama-3.2-1B": {
    ...llama,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
    vocab_size: 128256,
    rope_theta: 500000,
    tie_word_embeddings: true,
  },
  "SmolLM2-135M": {
    ...llama,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    head_dim: 64,
    vocab_size: 49152,
    rope_theta: 100000,
    tie_word_embeddings: true,
  },
  /** For an emulator. Rows of its weights are whole blocks of nf4. */
  tiny: {
    ...llama,
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    vocab_size: 300,
    rope_theta: 10000,
    tie_word_embeddings: true,
  },
};

const settings = { r: 16, alpha: 32, learningRate: 1e-4, maxGradNorm: 1, seed: 7 };

/** The most important first: what runs out of time is at the end. */
export const benchCases = (small) =>
  [
    ["Llama-3.1-8B", "lora", false],
    ["Llama-3.1-8B", "lora", true],
    ["Llama-3.2-1B", "lora", false],
    ["Llama-3.2-1B", "lora", true],
    ["SmolLM2-135M", "full", false],
  ].map(([shape, finetuning, quantized]) => ({
    name: `${small ? "tiny for " : ""}${shape}, ${finetuning === "full" ? "full" : quantized ? "QLoRA nf4" : "LoRA"}`,
    finetuning,
    quantized,
    ...settings,
    ...(small
      ? { shape: "tiny", model: { ...models.tiny, tie_word_embeddings: models[shape].tie_word_embeddings } }
      : { shape, model: models[shape] }),
    rows: small ? 2 : 4,
    length: small ? 24 : 2048,
  }));

/** Ids of one row: every number of the run, and no two rows alike. Mulberry32. */
export function rowOfIds({ model, length, seed }, row) {
  let state = (seed + row * 0x9e3779b1) >>> 0;
  return Int32Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * model.vocab_size);
  });
}

export const batchOfIds = (run, step) =>
  Array.from({ length: run.rows }, (_, row) => Array.from(rowOfIds(run, step * run.rows + row)));

/** [in, out] of the linear layers of one decoder layer. */
function projections({ hidden_size: d, intermediate_size: inner, num_attention_heads, num_key_value_heads, head_dim }) {
  const [q, kv] = [num_attention_heads * head_dim, num_key_value_heads * head_dim];
  return [
    [d, q],
    [d, kv],
    [d, kv],
    [q, d],
    [d, inner],
    [d, inner],
    [inner, d],
  ];
}

/**
 * Operations of the model for one token, whatever is computed again: a frozen weight 4, one that trains 6; attention
 * forward 2·T·heads·headDim a layer, half of it being masked, and 2.5 times that backward.
 */
export function flopsPerToken({ model, finetuning, r, length }) {
  const { num_hidden_layers: layers, hidden_size: d, vocab_size: vocab } = model;
  const linears = projections(model);
  const multiplied = layers * linears.reduce((sum, [a, b]) => sum + a * b, 0) + d * vocab;
  const lowRank = layers * linears.reduce((sum, [a, b]) => sum + r * (a + b), 0);
  const attention = 2 * length * model.num_attention_heads * model.head_dim * layers;
  return (finetuning === "full" ? 6 * multiplied : 4 * multiplied + 6 * lowRank) + 3.5 * attention;
}
