import { choice, flag, integer, list, optional, real } from "../kinds.ts";
import type { KeyTable, WrittenFinetuning } from "../written.ts";

export const finetuningKeys: KeyTable<WrittenFinetuning> = {
  stage: choice("sft", ["sft", "pt"], "Supervised fine-tuning, or (continued) pre-training on plain text."),
  finetuning_type: choice("lora", ["lora", "freeze", "full"], "Train an adapter, some blocks, or every weight."),
  lora_rank: integer(8, { min: 1, max: 65_536 }, "Rank r of the adapter."),
  lora_alpha: optional(real(16, { min: 0, max: 1e9, above: true }, "Scale of the adapter; 2 · lora_rank by default.")),
  lora_dropout: real(0, { min: 0, max: 1, below: true }, "Dropout in front of the adapter."),
  lora_target: list(["all"], "Modules that get an adapter, or all: every linear layer but the head."),
  additional_target: list([], "Modules that are trained in full and saved with the adapter."),
  use_rslora: flag(false, "Rank-stabilised scale alpha / √r instead of alpha / r."),
  create_new_adapter: flag(false, "Merge every given adapter and train a new one."),
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
