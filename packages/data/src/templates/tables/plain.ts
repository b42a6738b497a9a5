import type { TemplateSpec } from "../types.ts";

const EOS = { special: "eos" } as const;

/** Formats made of plain words. */
export const PLAIN: readonly TemplateSpec[] = [
  {
    name: "default",
    user: ["Human: {{content}}", EOS, "\nAssistant:"],
    assistant: ["{{content}}", EOS, "\n"],
    system: ["System: {{content}}", EOS, "\n"],
    replaceJinja: true,
  },
  { name: "empty", assistant: ["{{content}}"] },
  {
    name: "alpaca",
    user: ["### Instruction:\n{{content}}\n\n### Response:\n"],
    assistant: ["{{content}}", EOS, "\n\n"],
    defaultSystem:
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n",
    replaceJinja: true,
  },
  {
    name: "vicuna",
    user: ["USER: {{content}} ASSISTANT:"],
    defaultSystem:
      "A chat between a curious user and an artificial intelligence assistant. " +
      "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    replaceJinja: true,
  },
  {
    name: "zephyr",
    user: ["<|user|>\n{{content}}", EOS, "<|assistant|>\n"],
    system: ["<|system|>\n{{content}}", EOS],
    defaultSystem: "You are Zephyr, a helpful assistant.",
  },
];
