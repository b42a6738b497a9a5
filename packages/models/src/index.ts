export { ModelConfigError } from "./errors.ts";
export type { ConfigRecord } from "./fields.ts";
export { llama, LlamaForCausalLM, readLlamaConfig, type LlamaConfig } from "./llama.ts";
export { initialWeights, type Architecture, type Weights } from "./model.ts";
export { architectureOf } from "./registry.ts";
export { readRope, ropeFrequencies, type RopeConfig } from "./rope.ts";
