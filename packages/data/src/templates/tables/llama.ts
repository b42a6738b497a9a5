import type { TemplateSpec } from "../types.ts";

const BOS = { special: "bos" } as const;
const EOS = { special: "eos" } as const;

/** Llama and Mistral. */
export const LLAMA: readonly TemplateSpec[] = [
  {
    name: "llama2",
    user: [BOS, "[INST] {{content}} [/INST]"],
    system: ["<<SYS>>\n{{content}}\n<</SYS>>\n\n"],
    systemInUser: true,
  },
  {
    name: "llama3",
    prefix: [BOS],
    user: [
      "<|start_header_id|>user<|end_header_id|>\n\n{{content}}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ],
    assistant: ["{{content}}<|eot_id|>"],
    system: ["<|start_header_id|>system<|end_header_id|>\n\n{{content}}<|eot_id|>"],
    observation: [
      "<|start_header_id|>ipython<|end_header_id|>\n\n{{content}}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ],
    toolFormat: "llama3",
    stopWords: ["<|eot_id|>", "<|eom_id|>"],
    replaceEos: true,
  },
  {
    name: "mistral",
    prefix: [BOS],
    user: ["[INST] {{content}}[/INST]"],
    assistant: [" {{content}}", EOS],
    system: ["{{content}}\n\n"],
    function: ["[TOOL_CALLS] {{content}}", EOS],
    observation: ['[TOOL_RESULTS] {"content": {{content}}}[/TOOL_RESULTS]'],
    toolFormat: "mistral",
    systemInUser: true,
  },
];
