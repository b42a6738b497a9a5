import type { TemplateSpec } from "../types.ts";

const TURNS = {
  user: ["<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n"],
  assistant: ["{{content}}<|im_end|>\n"],
  system: ["<|im_start|>system\n{{content}}<|im_end|>\n"],
} as const;

const QWEN = {
  ...TURNS,
  observation: ["<|im_start|>user\n<tool_response>\n{{content}}\n</tool_response><|im_end|>\n<|im_start|>assistant\n"],
  toolFormat: "qwen",
  stopWords: ["<|im_end|>"],
  replaceEos: true,
} as const;

/** ChatML and the models that speak it. */
export const CHATML: readonly TemplateSpec[] = [
  {
    name: "chatml",
    ...TURNS,
    observation: ["<|im_start|>tool\n{{content}}<|im_end|>\n<|im_start|>assistant\n"],
    stopWords: ["<|im_end|>", "<|im_start|>"],
    replaceEos: true,
    replaceJinja: true,
  },
  {
    ...QWEN,
    name: "qwen",
    defaultSystem: "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
  },
  { ...QWEN, name: "qwen3_nothink" },
  {
    name: "smollm2",
    ...TURNS,
    defaultSystem: "You are a helpful AI assistant named SmolLM, trained by Hugging Face.",
    stopWords: ["<|im_end|>"],
  },
];
