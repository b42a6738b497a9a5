// Keys that are accepted and change nothing here. `only` names the values that are meant; any other value asks for
// something this version does not do and is refused by name.
import type { JsonValue } from "../run-config.ts";

export interface InertKey {
  readonly why: "f32" | "no effect";
  readonly only?: readonly JsonValue[];
}

const f32: InertKey = { why: "f32" };
const anyValue: InertKey = { why: "no effect" };
const only = (...values: JsonValue[]): InertKey => ({ why: "no effect", only: values });

function all(keys: string, entry: InertKey): Record<string, InertKey> {
  return Object.fromEntries(
    keys
      .trim()
      .split(/\s+/)
      .map((key) => [key, entry]),
  );
}

/** Several processes, worker pools, caches, memory tricks of PyTorch, the hub and pictures: nothing of it exists here. */
const nothingToSwitch = `
  ddp_timeout ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb ddp_find_unused_parameters ddp_static_graph
  local_rank average_tokens_across_devices save_on_each_node log_on_each_node data_shared_file_system
  preprocessing_num_workers overwrite_cache buffer_size media_dir dataloader_num_workers dataloader_pin_memory
  dataloader_persistent_workers dataloader_prefetch_factor trust_remote_code use_fast_tokenizer low_cpu_mem_usage
  offload_folder use_kv_cache cache_dir disable_gradient_checkpointing
  gradient_checkpointing_kwargs use_reentrant_gc use_unsloth_gc use_cache upcast_layernorm upcast_lmhead_output
  print_param_status use_cpu no_cuda full_determinism torch_empty_cache_steps disable_tqdm log_level
  log_level_replica logging_dir logging_nan_inf_filter run_name project skip_memory_metrics remove_unused_columns
  label_names length_column_name eval_accumulation_steps eval_do_concat_batches eval_use_gather_object
  batch_eval_metrics include_effective_tokens_per_second hub_strategy hub_always_push hub_private_repo export_device
  image_max_pixels image_min_pixels image_do_pan_and_scan crop_to_patches video_max_pixels video_min_pixels
  video_fps video_maxlen use_audio_in_video audio_sampling_rate freeze_vision_tower freeze_multi_modal_projector
`;

export const inertKeys: Readonly<Record<string, InertKey>> = {
  ...all("bf16_full_eval fp16_full_eval", f32),
  ...all(nothingToSwitch, anyValue),
  dataloader_drop_last: only(false),
  enable_thinking: only(true),
  export_legacy_format: only(false),
  flash_attn: only("auto", "sdpa", "disabled"),
  generation_num_beams: only(1),
  eval_num_beams: only(1),
  ignore_data_skip: only(false),
  ignore_pad_token_for_loss: only(true),
  infer_backend: only("huggingface"),
  length_penalty: only(1),
  mix_strategy: only("concat"),
  model_revision: only("main"),
  num_beams: only(1),
  // An adapter of PiSSA is always saved converted: unconverted, peft would load another one than was trained.
  pissa_convert: anyValue,
  preprocessing_batch_size: only(1000),
  report_to: only("none"),
  save_safetensors: only(true),
  train_sampling_strategy: only("random"),
};
