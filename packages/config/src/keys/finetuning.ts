import { choice, flag, integer, list, optional, real, text } from "../kinds.ts";
import { finetuningTypes } from "../run-config.ts";
import type { KeyTable, WrittenFinetuning } from "../written.ts";

export const finetuningKeys: KeyTable<WrittenFinetuning> = {
  stage: choice("sft", ["sft", "pt"], "Supervised fine-tuning, or (continued) pre-training on plain text."),
  finetuning_type: choice("lora", finetuningTypes, "Train an adapter of this kind, or every weight."),
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
  disable_shuffling: flag(false, "Rows in the order of the file."),
  early_stopping_steps: optional(
    integer(1, { min: 1, max: 1e9 }, "Stop after this many evaluations without a better metric."),
  ),
  plot_loss: flag(false, "Write training_loss.svg."),
};
