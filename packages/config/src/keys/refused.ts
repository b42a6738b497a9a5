// Keys of LlamaFactory that this version refuses by name. The value beside a key is the one that switches the feature
// off (LlamaFactory's default): writing it asks for nothing, so it is accepted.
import type { JsonValue } from "../run-config.ts";

export interface RefusedKey {
  readonly off: JsonValue;
  /** What the key belongs to; completes "not supported by this version: ". */
  readonly why: string;
}

// prettier-ignore
const groups: readonly (readonly [why: string, keys: Readonly<Record<string, JsonValue>>])[] = [
  ["weights are quantised on load alone, by quantization_bit", {
    quantization_device_map: null, export_quantization_bit: null,
    export_quantization_dataset: null, export_quantization_nsamples: 128, export_quantization_maxlen: 1024,
    fp8: false, fp8_backend: "auto", fp8_enable_fsdp_float8_all_gather: false,
  }],
  ["there is no such tuning method", {
    use_llama_pro: false,
    freeze_language_model: false, mixture_of_depths: null, shift_attn: false, adapter_folder: null,
  }],
  ["rotations train without dropout (peft has the key and never applies it to OFT)", { module_dropout: 0, boft_dropout: 0 }],
  ["the only optimizers are AdamW, Adafactor, Lion and SGD", {
    use_galore: false, galore_target: "all", galore_rank: 16, galore_update_interval: 200, galore_scale: 2,
    galore_proj_type: "std", galore_layerwise: false, use_apollo: false, apollo_target: "all", apollo_rank: 16,
    apollo_update_interval: 200, apollo_scale: 32, apollo_proj: "random", apollo_proj_type: "std",
    apollo_scale_type: "channel", apollo_layerwise: false, apollo_scale_front: false, use_badam: false,
    badam_mode: "layer", badam_start_block: null, badam_switch_mode: "ascending", badam_switch_interval: 50,
    badam_update_ratio: 0.05, badam_mask_mode: "adjacent", badam_verbose: 0, use_adam_mini: false, use_muon: false,
    optim_target_modules: null,
  }],
  ["the only stages are sft, pt, dpo and rm, without BCO and LD-DPO", {
    pref_bco_weight: 0, ld_alpha: null, kto_chosen_weight: 1, kto_rejected_weight: 1, ppo_buffer_size: 1, ppo_epochs: 4,
    ppo_score_norm: false, ppo_target: 6, ppo_whiten_rewards: false, reward_model: null, reward_model_adapters: null,
    reward_model_quantization_bit: null, reward_model_type: "lora",
  }],
  ["the only loss is cross-entropy", {
    use_dft_loss: false, use_asft_loss: false, asft_alpha: 0.1, use_eaft_loss: false, eaft_alpha: 1,
    label_smoothing_factor: 0, moe_aux_loss_coef: null,
  }],
  ["runs use one process on one CPU", {
    deepspeed: null, fsdp: null, fsdp_config: null, accelerator_config: null, parallelism_config: null,
    ray_num_workers: 1, ray_init_kwargs: null, master_addr: null, master_port: null, use_mca: false,
    use_megatron_bridge: false, use_hyper_parallel: false, hyper_parallel_args: null, hyper_parallel_cp_size: 1,
    auto_find_batch_size: false, enable_jit_checkpoint: false,
  }],
  ["there is one compute backend", {
    use_unsloth: false, enable_liger_kernel: false, use_liger_kernel: false, liger_kernel_config: null,
    use_v1_kernels: false, torch_compile: false, torch_compile_backend: null, torch_compile_mode: null,
    vllm_maxlen: 4096, vllm_gpu_util: 0.7, vllm_enforce_eager: false, vllm_max_lora_rank: 32, vllm_config: null,
    sglang_maxlen: 4096, sglang_mem_fraction: 0.7, sglang_tp_size: -1, sglang_config: null,
    sglang_lora_backend: "triton", use_kt: false, kt_weight_path: null, kt_expert_checkpoint_path: null,
    kt_use_lora_experts: null, kt_lora_expert_num: null, kt_lora_expert_intermediate_size: null,
    kt_cpu_activation: null, kt_non_expert_weight_path: null, kt_config: null,
  }],
  ["nothing is uploaded or downloaded", {
    push_to_hub: false, hub_model_id: null, hub_token: null, hub_revision: null, hf_hub_token: null,
    ms_hub_token: null, om_hub_token: null, export_hub_model_id: null, trackio_space_id: null,
    trackio_bucket_id: null, trackio_static_space_id: null, use_swanlab: false, swanlab_project: "llamafactory",
    swanlab_workspace: null, swanlab_run_name: null, swanlab_mode: "cloud", swanlab_api_key: null,
    swanlab_logdir: null, swanlab_lark_webhook_url: null, swanlab_lark_secret: null,
  }],
  ["data sets are read whole and joined in order", {
    streaming: false, interleave_probs: null, tokenized_path: null, eval_on_each_dataset: false,
    group_by_length: false, sortish_sampler: false,
  }],
  ["templates have no tools and no thoughts", { tool_format: null, preserve_thinking: false }],
  ["the only metrics are loss and exact match", {
    compute_accuracy: false, include_for_metrics: [], prediction_loss_only: false, generation_max_length: null,
    generation_config: null, eval_delay: 0, eval_on_start: false, restore_callback_states_from_checkpoint: false,
  }],
  ["there is no profiler", {
    enable_torch_profiler: false, profiler_output_dir: null, profiler_wait_steps: 1, profiler_warmup_steps: 1,
    profiler_active_steps: 1, profiler_repeat: 1, profiler_record_shapes: true, profiler_profile_memory: true,
    profiler_with_stack: true, profile_modules: null, debug: "",
  }],
  ["there are no evaluation suites", {
    task: null, task_dir: "evaluation", batch_size: 4, lang: "en", n_shot: 5, save_dir: null,
    download_mode: "reuse_dataset_if_exists",
  }],
];

export const refusedKeys: Readonly<Record<string, RefusedKey>> = Object.fromEntries(
  groups.flatMap(([why, keys]) => Object.entries(keys).map(([key, off]) => [key, { off, why }])),
);

/** Older names of keys. */
export const renamedKeys: Readonly<Record<string, string>> = {
  evaluation_strategy: "eval_strategy",
  template_name: "template",
  per_gpu_train_batch_size: "per_device_train_batch_size",
  per_gpu_eval_batch_size: "per_device_eval_batch_size",
};
