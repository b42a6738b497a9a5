export { CausalLM } from "./causal-lm.ts";
export { Embedding } from "./embedding.ts";
export { KvCache, type KeyValueStore, type KvCacheOptions } from "./kv-cache.ts";
export { Linear, Projection } from "./linear.ts";
export { Module, Parameter } from "./module.ts";
export { KeyValuePrefix, Prefix, VirtualTokens, type LayerKeyValues } from "./prefix.ts";
export { Residual } from "./residual.ts";
export { RmsNorm } from "./rms-norm.ts";
export { attentionLayout, longestOf, numbersFrom, packRows, type PackedRows, type Segment } from "./rows.ts";
