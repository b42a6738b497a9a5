import { choice, flag, integer, list, oneOf, optional, real, text } from "../kinds.ts";
import { finetuningTypes } from "../run-config.ts";
import type { KeyTable, WrittenFinetuning } from "../written.ts";

export const finetuningKeys: KeyTable<WrittenFinetuning> = {
  stage: choice(
    "sft",
    ["sft", "pt", "dpo", "rm"],
    "Supervised fine-tuning, (continued) pre-training on plain text, learning from pairs of answers, or a reward model.",
  ),
  finetuning_type: choice("lora", finetuningTypes, "Train an adapter of this kind, some blocks, or every weight."),
  lora_rank: integer(8, { min: 1, max: 65_536 }, "Rank r of the adapter."),
  lora_alpha: optional(real(16, { min: 0, max: 1e9, above: true }, "Scale of the adapter; 2 · lora_rank by default.")),
  lora_dropout: real(0, { min: 0, max: 1, below: true }, "Dropout in front of the adapter."),
  lora_target: list(["all"], "Modules that get an adapter, or all: every linear layer but the head."),
  additional_target: list([], "Modules that are trained in full and saved with the adapter."),
  use_rslora: flag(false, "Rank-stabilised scale alpha / √r instead of alpha / r."),
  ia3_target: list(["k_proj", "v_proj", "down_proj"], "Modules that (IA)³ rescales."),
  feedforward_modules: list(["down_proj"], "Modules among ia3_target whose input is rescaled, not their output."),
  oft_target: list(["all"], "Modules that OFT rotates, or all: every linear layer but the head."),
  oft_rank: integer(0, { min: 0, max: 65_536 }, "Number of OFT's blocks; 0 where oft_block_size decides."),
  oft_block_size: integer(32, { min: 0, max: 65_536 }, "Inputs of one block of OFT; 0 where oft_rank decides."),
  use_cayley_neumann: flag(true, "OFT's rotations from a few terms of a series, not from exact inverses."),
  num_cayley_neumann_terms: integer(5, { min: 2, max: 64 }, "Terms of that series."),
  boft_target: list(["all"], "Modules that BOFT rotates, or all: every linear layer but the head."),
  boft_block_size: integer(4, { min: 0, max: 65_536 }, "Inputs of one block of BOFT; 0 where boft_block_num decides."),
  boft_block_num: integer(0, { min: 0, max: 65_536 }, "Number of BOFT's blocks; 0 where boft_block_size decides."),
  boft_n_butterfly_factor: integer(
    1,
    { min: 1, max: 32 },
    "Rotations in a row, each over channels twice as far apart; peft loads more than 1 with its CUDA extension only.",
  ),
  use_dora: flag(false, "DoRA: train the magnitude of every row of a weight beside its direction."),
  create_new_adapter: flag(false, "Merge every given adapter and train a new one."),
  num_virtual_tokens: integer(20, { min: 1, max: 8192 }, "Length of what stands in front of every sequence."),
  prompt_tuning_init: choice("RANDOM", ["RANDOM", "TEXT"], "Virtual tokens start at random, or from a text."),
  prompt_tuning_init_text: optional(text("The text, repeated or cut to num_virtual_tokens tokens.")),
  prefix_projection: flag(false, "A small network makes the keys and values of the prefix while training."),
  encoder_hidden_size: optional(integer(64, { min: 1, max: 65_536 }, "Width of that network; the keys' by default.")),
  reduction_factor: real(16, { min: 0.0625, max: 65_536 }, "How much narrower than the model a bottleneck is."),
  non_linearity: optional(
    choice(
      "relu",
      ["relu", "swish", "tanh"],
      "Inside a bottleneck; relu for pfeiffer and swish for houlsby by default.",
    ),
  ),
  pref_loss: choice(
    "sigmoid",
    ["sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo"],
    "Loss of stage dpo: sigmoid is DPO; orpo and simpo need no reference model.",
  ),
  pref_beta: real(
    0.1,
    { min: 0, max: 1e6, above: true },
    "β of stage dpo: how dear a step away from the reference is.",
  ),
  pref_ftx: real(0, { min: 0, max: 1e6 }, "Adds this much of the cross-entropy of the chosen answers."),
  dpo_label_smoothing: real(0, { min: 0, max: 0.5 }, "Share of pairs taken to be labelled wrongly; for sigmoid."),
  simpo_gamma: real(0.5, { min: 0, max: 1e6 }, "Margin that the chosen answer is to win by; for simpo."),
  ref_model: optional(text("Reference model of stage dpo; the model before training by default.")),
  ref_model_adapters: list([], "Adapter folders on ref_model, in order."),
  ref_model_quantization_bit: optional(
    oneOf([4], "Hold ref_model in so many bits, by the code that quantization_type names."),
  ),
  loraplus_lr_ratio: optional(
    real(16, { min: 0, max: 1e6, above: true }, "LoRA+: learning rate of B over that of A, such as 16."),
  ),
  loraplus_lr_embedding: real(1e-6, { min: 0, max: 1e30 }, "LoRA+: learning rate of the B of an embedding."),
  freeze_trainable_layers: integer(2, { min: -65_536, max: 65_536 }, "freeze: the last n blocks, or the first -n."),
  freeze_trainable_modules: list(["all"], "freeze: modules of those blocks, such as mlp and self_attn, or all."),
  freeze_extra_modules: list([], "freeze: modules outside the blocks, such as embed_tokens and lm_head."),
  disable_shuffling: flag(false, "Rows in the order of the file."),
  early_stopping_steps: optional(
    integer(1, { min: 1, max: 1e9 }, "Stop after this many evaluations without a better metric."),
  ),
  plot_loss: flag(false, "Write training_loss.svg."),
};
