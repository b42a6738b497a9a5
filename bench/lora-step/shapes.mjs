/** Shapes by name: a Llama for `LlamaConfig`, and what a step trains on. */
export const shapes = {
  "135m": {
    model: {
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      vocab_size: 49152,
      rope_theta: 100000,
      rms_norm_eps: 1e-5,
    },
    rows: 2,
    length: 512,
  },
  tiny: {
    model: {
      hidden_size: 48,
      intermediate_size: 96,
      num_hidden_layers: 2,
      num_attention_heads: 6,
      num_key_value_heads: 2,
      vocab_size: 300,
      rope_theta: 10000,
      rms_norm_eps: 1e-5,
    },
    rows: 2,
    length: 24,
  },
};

export const lora = { r: 8, alpha: 16 };
export const learningRate = 1e-3;
export const maxGradNorm = 1;
