import { flag, integer, real } from "../kinds.ts";
import type { KeyTable, WrittenGenerating } from "../written.ts";

export const generatingKeys: KeyTable<WrittenGenerating> = {
  do_sample: flag(true, "Sample; false always takes the likeliest token."),
  temperature: real(0.95, { min: 0, max: 100 }, "Flattens (> 1) or sharpens (< 1) the distribution; 0 is greedy."),
  top_p: real(0.7, { min: 0, max: 1, above: true }, "Sample from the likeliest tokens of this total probability."),
  top_k: integer(50, { min: 0, max: 1e9 }, "Sample from this many likeliest tokens; 0 is off."),
  max_length: integer(1024, { min: 1, max: 1e9 }, "Prompt and answer in tokens, when max_new_tokens is 0."),
  max_new_tokens: integer(1024, { min: 0, max: 1e9 }, "Longest answer in tokens."),
  repetition_penalty: real(1, { min: 0, max: 100, above: true }, "Above 1 makes repeated tokens less likely."),
  skip_special_tokens: flag(true, "Leave special tokens out of the answer."),
};
