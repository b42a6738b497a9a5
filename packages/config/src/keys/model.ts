import { choice, flag, integer, list, oneOf, optional, real, text, textOr } from "../kinds.ts";
import { quantizationBits, type QuantizationMethod } from "../run-config.ts";
import type { KeyTable, WrittenModel } from "../written.ts";

const quantizationMethods = Object.keys(quantizationBits) as QuantizationMethod[];

export const modelKeys: KeyTable<WrittenModel> = {
  model_name_or_path: textOr("", "Folder of a Hugging Face model, or a .gguf file."),
  adapter_name_or_path: list(
    [],
    "Adapter folders, in order. All but the last are merged; training continues the last.",
  ),
  split_special_tokens: flag(
    true,
    "Special tokens inside user text stay plain text. Write false to reproduce LlamaFactory's default.",
  ),
  resize_vocab: flag(false, "Rows in embedding and head for tokens that have none, up to a multiple of 64."),
  add_tokens: list([], "Tokens to add to the vocabulary; turns resize_vocab on."),
  add_special_tokens: list([], "Special tokens to add to the vocabulary; turns resize_vocab on."),
  new_special_tokens_config: optional(
    text("YAML file of special tokens to add, `token: description` lines; instead of add_special_tokens."),
  ),
  init_special_tokens: choice(
    "noise_init",
    ["noise_init", "desc_init", "desc_init_w_noise"],
    "New rows: the mean row plus noise, or the mean of the description's tokens, with noise or without.",
  ),
  train_from_scratch: flag(false, "Random weights from the model's config.json instead of its weight files."),
  rope_scaling: optional(choice("linear", ["linear", "dynamic", "llama3"], "Stretch the rotary positions.")),
  quantization_bit: optional(
    oneOf(
      [...new Set(Object.values(quantizationBits).flat())],
      "Hold the frozen weights of all linear layers but the head in so many bits.",
    ),
  ),
  quantization_method: choice("bnb", quantizationMethods, "Whose codes quantization_bit takes."),
  quantization_type: choice("nf4", ["nf4", "fp4"], "The 4-bit code."),
  double_quantization: flag(true, "Quantise the scales of the 4-bit blocks too."),
  llm_int8_threshold: real(6, { min: 0, max: 65504 }, "Activations of this size stay floats in 8-bit layers; 0: none."),
  infer_dtype: choice(
    "auto",
    ["auto", "float16", "bfloat16", "float32"],
    "Type of exported weights; auto keeps the model's own. bfloat16: chat holds and multiplies weights in bf16.",
  ),
  export_dir: optional(text("Folder that `temper export` writes the merged model to.")),
  export_quantized: flag(false, "Export in bitsandbytes' codes: those of quantization_bit, or the model's own."),
  export_size: integer(5, { min: 1, max: 1000 }, "Largest file of an export, in GB."),
};
