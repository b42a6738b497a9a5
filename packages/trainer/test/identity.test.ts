import { makeConfig } from "@welltempered/config";
import { parseJsonObject } from "@welltempered/formats";
import { expect, it } from "vitest";
import { differences, identityOf, type Identity } from "../src/session/identity.ts";

const around = { backend: "cpu", rows: 8, data: "0123" };
const base = {
  model_name_or_path: "model",
  dataset: "rows",
  output_dir: "out",
  do_train: true,
  template: "default",
  eval_dataset: "held",
  eval_strategy: "steps",
};

/** As it comes back from a manifest. */
function identity(settings: Record<string, unknown> = {}, surroundings = around): Identity {
  const { config } = makeConfig({ ...base, ...settings });
  return parseJsonObject(JSON.stringify(identityOf(config, surroundings)), { file: "manifest.json" });
}

it.each<[Record<string, unknown>, string[]]>([
  [{ model_name_or_path: "other" }, ["model_name_or_path model → other"]],
  [{ stage: "pt" }, ["stage sft → pt", "packing false → true"]],
  [{ adapter_name_or_path: "a" }, ['adapter_name_or_path [] → ["a"]']],
  [{ lora_rank: 4 }, ["lora_rank 8 → 4", "lora_alpha 16 → 8"]],
  [{ lora_alpha: 32 }, ["lora_alpha 16 → 32"]],
  [{ lora_dropout: 0.1 }, ["lora_dropout 0 → 0.1"]],
  [{ lora_target: "q_proj,v_proj" }, ['lora_target ["all"] → ["q_proj","v_proj"]']],
  [{ additional_target: "lm_head" }, ['additional_target [] → ["lm_head"]']],
  [{ optim: "adamw_bnb_8bit" }, ["optim adamw_torch → adamw_8bit"]],
  [{ optim: "lion_32bit" }, ["optim adamw_torch → lion_32bit", "adam_epsilon 1e-8 → none"]],
  [{ loraplus_lr_ratio: 16 }, ["loraplus_lr_ratio none → 16", "loraplus_lr_embedding none → 0.000001"]],
  [{ use_rslora: true }, ["use_rslora false → true"]],
  [{ use_dora: true }, ["use_dora false → true"]],
  [{ pissa_init: true }, ["pissa_init false → true", "pissa_iter none → 16"]],
  [{ seed: 1 }, ["seed 42 → 1"]],
  [{ data_seed: 1 }, ["data_seed none → 1"]],
  [{ per_device_train_batch_size: 3 }, ["per_device_train_batch_size 8 → 3"]],
  [{ gradient_accumulation_steps: 2 }, ["gradient_accumulation_steps 1 → 2"]],
  [{ learning_rate: 1e-3 }, ["learning_rate 0.00005 → 0.001"]],
  [{ weight_decay: 0.1 }, ["weight_decay 0 → 0.1"]],
  [{ adam_beta1: 0.8 }, ["adam_beta1 0.9 → 0.8"]],
  [{ adam_beta2: 0.9 }, ["adam_beta2 0.999 → 0.9"]],
  [{ adam_epsilon: 1e-6 }, ["adam_epsilon 1e-8 → 0.000001"]],
  [{ max_grad_norm: 0 }, ["max_grad_norm 1 → 0"]],
  [{ lr_scheduler_type: "cosine" }, ["lr_scheduler_type linear → cosine"]],
  [{ warmup_steps: 3 }, ["warmup_steps 0 → 3"]],
  [{ warmup_ratio: 0.1 }, ["warmup_ratio 0 → 0.1"]],
  [{ num_train_epochs: 4 }, ["num_train_epochs 3 → 4"]],
  [{ max_steps: 9 }, ["max_steps -1 → 9", "num_train_epochs 3 → none"]],
  [{ template: "chatml" }, ["template default → chatml"]],
  [{ default_system: "be brief" }, ["default_system none → be brief"]],
  [{ dataset: "a,b" }, ['dataset ["rows"] → ["a","b"]']],
  [{ max_samples: 5 }, ["max_samples none → 5"]],
  [{ cutoff_len: 64 }, ["cutoff_len 2048 → 64"]],
  [{ packing: true }, ["packing false → true"]],
  [{ neat_packing: true }, ["packing false → true", "neat_packing false → true"]],
  [{ train_on_prompt: true }, ["train_on_prompt false → true"]],
  [{ mask_history: true }, ["mask_history false → true"]],
  [{ split_special_tokens: false }, ["split_special_tokens true → false"]],
  [{ disable_shuffling: true }, ["disable_shuffling false → true"]],
  [{ resize_vocab: true }, ["resize_vocab false → true"]],
  [{ add_tokens: "a" }, ['add_tokens [] → ["a"]']],
  [{ add_special_tokens: "a" }, ['add_special_tokens [] → ["a"]']],
  [{ init_special_tokens: "desc_init" }, ["init_special_tokens noise_init → desc_init"]],
  [{ neftune_noise_alpha: 5 }, ["neftune_noise_alpha none → 5"]],
  [{ rope_scaling: "linear" }, ["rope_scaling none → linear"]],
  [{ include_num_input_tokens_seen: true }, ["include_num_input_tokens_seen no → all"]],
])("a continuation with %j is another run", (settings, expected) => {
  expect(new Set(differences(identity(), identity(settings)))).toEqual(new Set(expected));
});

it.each<[Record<string, unknown>]>([
  [{ logging_steps: 1, logging_first_step: true, plot_loss: true }],
  [{ save_steps: 7, save_total_limit: 1, save_strategy: "epoch" }],
  [{ eval_strategy: "no", per_device_eval_batch_size: 1, eval_dataset: "other" }],
  [{ early_stopping_steps: 3, load_best_model_at_end: true }],
  [{ output_dir: "elsewhere", overwrite_output_dir: true, resume_from_checkpoint: true, dataset_dir: "moved" }],
  [{ threads: 2, do_sample: false, max_new_tokens: 3, fp16_full_eval: true }],
])("a continuation with %j is the same run", (settings) => {
  expect(differences(identity(), identity(settings))).toEqual([]);
});

it("a schedule without an end may be made longer, one with an end may not", () => {
  const of = (max_steps: number, more: object): Identity => identity({ max_steps, ...more });
  const constant = { lr_scheduler_type: "constant_with_warmup", warmup_steps: 2 };
  expect(differences(of(10, constant), of(20, constant))).toEqual([]);
  const share = { lr_scheduler_type: "constant_with_warmup", warmup_ratio: 0.1 };
  expect(differences(of(10, share), of(20, share))).toEqual(["max_steps 10 → 20"]);
  expect(differences(of(10, {}), of(20, {}))).toEqual(["max_steps 10 → 20"]);
});

it("evaluation decides where the schedule listens to it", () => {
  const listening = { lr_scheduler_type: "reduce_lr_on_plateau", eval_steps: 5 };
  expect(differences(identity(listening), identity({ ...listening, eval_steps: 6 }))).toEqual(["eval_steps 5 → 6"]);
});

it("a best metric is not compared with another metric", () => {
  const best = { load_best_model_at_end: true };
  const other = { ...best, metric_for_best_model: "runtime" };
  expect(differences(identity(best), identity(other))).toEqual([
    "metric_for_best_model loss → runtime",
    "greater_is_better false → true",
  ]);
  expect(differences(identity(), identity(other))).toEqual([]);
});

it("settings of another method do not matter", () => {
  const full = { finetuning_type: "full", optim: "sgd" };
  expect(differences(identity(full), identity({ ...full, lora_rank: 2, adam_beta1: 0.5 }))).toEqual([]);
  const oft = { finetuning_type: "oft", oft_block_size: 16 };
  expect(differences(identity(oft), identity({ ...oft, boft_block_size: 8, ia3_target: "k_proj,down_proj" }))).toEqual(
    [],
  );
  expect(differences(identity(oft), identity({ ...oft, oft_block_size: 8 }))).toEqual(["oft_block_size 16 → 8"]);
  expect(differences(identity(full), identity({ ...full, optim_args: "momentum=0.9" }))).toEqual([
    'optim_args {"momentum":0,"nesterov":false} → {"momentum":0.9,"nesterov":false}',
  ]);
});

it("the blocks that train decide in freeze tuning only", () => {
  const freeze = { finetuning_type: "freeze" };
  expect(differences(identity(freeze), identity({ ...freeze, freeze_trainable_layers: -1, lora_rank: 2 }))).toEqual([
    "freeze_trainable_layers 2 → -1",
  ]);
  expect(differences(identity(), identity({ freeze_trainable_layers: -1 }))).toEqual([]);
});

it("other rows, tokens or another backend make another run, the order of keys of an option does not", () => {
  expect(differences(identity(), identity({}, { backend: "reference", rows: 9, data: "4567" }))).toEqual([
    "device cpu → reference",
    "rows 8 → 9",
    "data 0123 → 4567",
  ]);
  const min = (lr_scheduler_kwargs: object): Identity =>
    identity({ lr_scheduler_type: "cosine_with_min_lr", lr_scheduler_kwargs });
  expect(differences(min({ min_lr: 1e-5, num_cycles: 1 }), min({ num_cycles: 1, min_lr: 1e-5 }))).toEqual([]);
});
