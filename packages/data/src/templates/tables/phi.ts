import type { TemplateSpec } from "../types.ts";

/** Microsoft's Phi 3. */
export const PHI: readonly TemplateSpec[] = [
  {
    name: "phi",
    user: ["<|user|>\n{{content}}<|end|>\n<|assistant|>\n"],
    assistant: ["{{content}}<|end|>\n"],
    system: ["<|system|>\n{{content}}<|end|>\n"],
    stopWords: ["<|end|>"],
    replaceEos: true,
  },
];
