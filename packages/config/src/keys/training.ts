import { choice, countOrMinusOne, flag, fractionOrCount, integer, mapping, optional, real, text } from "../kinds.ts";
import type { KeySpec } from "../kinds.ts";
import type { KeyTable, WrittenTraining } from "../written.ts";

const interval = ["no", "steps", "epoch"] as const;
const steps = { min: 1, max: 1e12 };
const batch = { min: 1, max: 65_536 };

const tokensSeen = choice("no", ["no", "all", "non_padding"], "Count input tokens in the log; true means all.");

/** A folder, or true for the newest checkpoint of output_dir. */
function checkpoint(): KeySpec<string | boolean | undefined> {
  const path = text("Checkpoint folder to continue from, or true for the newest in output_dir.");
  const read = (raw: unknown): unknown => (raw === "true" || raw === "false" ? raw === "true" : raw);
  return {
    ...path,
    default: undefined,
    allowed: "a folder, true or false",
    schema: path.schema.or(flag(false, "").schema).optional(),
    read,
  };
}

export const trainingKeys: KeyTable<WrittenTraining> = {
  output_dir: optional(text("Run folder: adapter or model, logs, checkpoints.")),
  overwrite_output_dir: flag(false, "Start anew in a run folder that already holds a result."),
  do_train: flag(false, "Train."),
  do_eval: flag(false, "Evaluate after training; implied by eval_strategy."),
  do_predict: flag(false, "Answer every row of eval_dataset; needs predict_with_generate."),
  predict_with_generate: flag(false, "Generate answers for do_predict."),
  per_device_train_batch_size: integer(8, batch, "Rows of one forward pass."),
  per_device_eval_batch_size: integer(8, batch, "Rows of one forward pass in evaluation and prediction."),
  gradient_accumulation_steps: integer(1, batch, "Forward passes of one optimizer step."),
  bf16: flag(
    false,
    "Frozen weights and waiting activations in bf16; large products too, where the CPU multiplies bf16 faster.",
  ),
  fp16: flag(
    false,
    "Frozen weights and waiting activations in f16, large products too on an NVIDIA GPU; the loss is scaled dynamically.",
  ),
  pure_bf16: flag(
    false,
    "As bf16, and what trains and AdamW's moments are bf16 as well: no f32 copy of a weight exists.",
  ),
  tf32: optional(flag(false, "Products in TF32 on an NVIDIA GPU, in f32 elsewhere; bf16 and fp16 go before it.")),
  gradient_checkpointing: flag(
    false,
    "Keep each layer's input alone and compute the layer again in backward: memory for time.",
  ),
  optim: choice(
    "adamw_torch_fused",
    ["adamw_torch", "adamw_torch_fused", "adamw_8bit", "adamw_bnb_8bit", "adafactor", "lion_32bit", "sgd"],
    "Optimizer; fused or not is the same, and so is 8bit with bnb or without.",
  ),
  optim_args: optional(text("Options of sgd: momentum=0.9,nesterov=true.")),
  learning_rate: real(5e-5, { min: 0, max: 1e30 }, "Peak learning rate."),
  weight_decay: real(0, { min: 0, max: 1e6 }, "Decoupled decay; norms and biases are left out."),
  adam_beta1: real(0.9, { min: 0, max: 1, below: true }, "Decay of the first moment of AdamW and Lion."),
  adam_beta2: real(0.999, { min: 0, max: 1, below: true }, "Decay of AdamW's second moment, and of Lion's only one."),
  adam_epsilon: real(1e-8, { min: 0, max: 1 }, "AdamW's ε."),
  max_grad_norm: real(1, { min: 0, max: 1e30 }, "Clip the gradient to this norm; 0 is off."),
  neftune_noise_alpha: optional(
    real(5, { min: 0, max: 1e6 }, "NEFTune: noise on the embedding in training, up to α / √(tokens · width)."),
  ),
  num_train_epochs: real(3, { min: 0, max: 1e6, above: true }, "Passes over the data; may be a fraction."),
  max_steps: countOrMinusOne("Optimizer steps; overrides num_train_epochs."),
  lr_scheduler_type: choice(
    "linear",
    [
      "linear",
      "cosine",
      "cosine_with_restarts",
      "polynomial",
      "constant",
      "constant_with_warmup",
      "inverse_sqrt",
      "reduce_lr_on_plateau",
      "cosine_with_min_lr",
      "cosine_warmup_with_min_lr",
      "warmup_stable_decay",
      "greedy",
    ],
    "Course of the learning rate.",
  ),
  lr_scheduler_kwargs: optional(mapping("Options of the schedule, such as num_cycles or min_lr.")),
  warmup_ratio: optional(real(0, { min: 0, max: 1 }, "Fraction of all steps that warm up.")),
  warmup_steps: fractionOrCount(0, "Steps that warm up; below 1 a fraction of all steps."),
  logging_strategy: choice("steps", interval, "When the loss is logged."),
  logging_steps: integer(500, steps, "Log every this many steps."),
  logging_first_step: flag(false, "Log the first step too."),
  save_strategy: choice("steps", [...interval, "best"], "When a checkpoint is written."),
  save_steps: integer(500, steps, "Checkpoint every this many steps."),
  save_total_limit: optional(integer(1, { min: 1, max: 1e6 }, "Keep at most this many checkpoints.")),
  save_only_model: flag(false, "Checkpoints without optimizer state; they cannot be resumed."),
  eval_strategy: choice("no", interval, "When the evaluation runs."),
  eval_steps: optional(integer(500, steps, "Evaluate every this many steps; logging_steps by default.")),
  load_best_model_at_end: flag(false, "End with the weights of the best evaluation."),
  metric_for_best_model: optional(text("Metric that decides which is best; loss by default.")),
  greater_is_better: optional(flag(false, "Whether a greater metric is better.")),
  resume_from_checkpoint: checkpoint(),
  seed: integer(42, { min: 0, max: Number.MAX_SAFE_INTEGER }, "Seed of initial weights, dropout, order and sampling."),
  data_seed: optional(integer(42, { min: 0, max: Number.MAX_SAFE_INTEGER }, "Seed of the row order, when not seed.")),
  include_num_input_tokens_seen: {
    ...tokensSeen,
    allowed: "true, false, all, non_padding or no",
    read: (raw) => (raw === true || raw === "true" ? "all" : raw === false || raw === "false" ? "no" : raw),
  },
};
