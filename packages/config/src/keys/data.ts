import { flag, fractionOrCount, integer, list, optional, text, textOr } from "../kinds.ts";
import type { KeyTable, WrittenData } from "../written.ts";

export const dataKeys: KeyTable<WrittenData> = {
  template: optional(text("Name of the chat template; without it the tokenizer's own is used.")),
  dataset: list([], "Names from dataset_info.json to train on."),
  eval_dataset: list([], "Names from dataset_info.json to evaluate or predict on."),
  dataset_dir: textOr("data", "Folder of dataset_info.json."),
  cutoff_len: integer(2048, { min: 1, max: 10_000_000 }, "Longest row in tokens; longer ones are cut."),
  train_on_prompt: flag(false, "Loss on the prompt too."),
  mask_history: flag(false, "Loss on the last turn only."),
  max_samples: optional(integer(1, { min: 1, max: 1e12 }, "Use at most this many rows of each dataset.")),
  val_size: fractionOrCount(0, "Rows held out for evaluation: a fraction or a count."),
  packing: optional(flag(false, "Put several rows into one sequence. On by default for stage pt.")),
  neat_packing: flag(false, "Packing in which rows do not see each other."),
  default_system: optional(text("System prompt of rows that have none.", 1_000_000)),
  skip_bad_rows: flag(false, "Count and skip malformed rows instead of stopping at the first."),
};
