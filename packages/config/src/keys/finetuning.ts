import { choice, flag, integer, list, optional, real, text } from "../kinds.ts";
import type { KeyTable, WrittenFinetuning } from "../written.ts";

export const finetuningKeys: KeyTable<WrittenFinetuning> = {
  stage: choice(
    "sft",
    ["sft", "pt", "dpo"],
    "Supervised fine-tuning, (continued) pre-training on plain text, or learning from pairs of answers.",
  ),
  finetuning_type: choice("lora", ["lora", "full"], "Train a low-rank adapter, or every weight."),
  lora_rank: integer(8, { min: 1, max: 65_536 }, "Rank r of the adapter."),
  lora_alpha: optional(real(16, { min: 0, max: 1e9, above: true }, "Scale of the adapter; 2 · lora_rank by default.")),
  lora_dropout: real(0, { min: 0, max: 1, below: true }, "Dropout in front of the adapter."),
  lora_target: list(["all"], "Modules that get an adapter, or all: every linear layer but the head."),
  additional_target: list([], "Modules that are trained in full and saved with the adapter."),
  use_rslora: flag(false, "Rank-stabilised scale alpha / √r instead of alpha / r."),
  create_new_adapter: flag(false, "Merge every given adapter and train a new one."),
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
  disable_shuffling: flag(false, "Rows in the order of the file."),
  early_stopping_steps: optional(
    integer(1, { min: 1, max: 1e9 }, "Stop after this many evaluations without a better metric."),
  ),
  plot_loss: flag(false, "Write training_loss.svg."),
};
