/** Rows of docs/methods.md, and the words that ask for the method. Tests run each on every base. */
export const methods: readonly [name: string, words: readonly string[]][] = [
  ["lora", ["lora_dropout=0.1"]],
  ["dora", ["use_dora=true", "lora_dropout=0.1"]],
  ["dora with rslora", ["use_dora=true", "use_rslora=true", "lora_dropout=0.1"]],
  ["pissa", ["pissa_init=true"]],
  ["loha", ["finetuning_type=loha"]],
  ["ia3", ["finetuning_type=ia3", "ia3_target=q_proj,down_proj", "feedforward_modules=down_proj"]],
  ["oft", ["finetuning_type=oft", "oft_block_size=8"]],
  ["boft", ["finetuning_type=boft"]],
  ["vera", ["finetuning_type=vera", "vera_rank=12", "vera_dropout=0.1"]],
  ["prompt tuning", ["finetuning_type=prompt_tuning", "num_virtual_tokens=3"]],
  ["prefix tuning", ["finetuning_type=prefix_tuning", "num_virtual_tokens=3"]],
  ["pfeiffer", ["finetuning_type=pfeiffer"]],
  ["houlsby", ["finetuning_type=houlsby"]],
  ["freeze", ["finetuning_type=freeze", "freeze_trainable_layers=1"]],
  ["full", ["finetuning_type=full"]],
];
