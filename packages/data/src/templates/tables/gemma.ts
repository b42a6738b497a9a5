import type { TemplateSpec } from "../types.ts";

const TURNS = {
  prefix: [{ special: "bos" }],
  user: ["<start_of_turn>user\n{{content}}<end_of_turn>\n<start_of_turn>model\n"],
  assistant: ["{{content}}<end_of_turn>\n"],
  system: ["{{content}}\n\n"],
  observation: ["<start_of_turn>tool\n{{content}}<end_of_turn>\n<start_of_turn>model\n"],
  systemInUser: true,
} as const;

/** Google's Gemma. */
export const GEMMA: readonly TemplateSpec[] = [
  { name: "gemma", ...TURNS, stopWords: ["<end_of_turn>"], replaceEos: true },
  { name: "gemma2", ...TURNS, stopWords: ["<eos>", "<end_of_turn>"], efficientEos: true },
];
