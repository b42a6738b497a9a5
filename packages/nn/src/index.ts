export { CausalLM } from "./causal-lm.ts";
export { Embedding } from "./embedding.ts";
export { KvCache, type KvCacheOptions } from "./kv-cache.ts";
export { Linear, Projection } from "./linear.ts";
export { Module, Parameter } from "./module.ts";
export { RmsNorm } from "./rms-norm.ts";
export { attentionLayout, packRows, type PackedRows, type Segment } from "./rows.ts";
