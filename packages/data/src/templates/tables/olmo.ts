import type { TemplateSpec } from "../types.ts";

/** OLMo of the Allen Institute for AI: what begins a conversation is the token that ends answers. */
export const OLMO: readonly TemplateSpec[] = [
  {
    name: "olmo",
    prefix: [{ special: "eos" }],
    user: ["<|user|>\n{{content}}<|assistant|>\n"],
  },
];
