export { Adapter, readAdapterConfig, type AdapterConfig } from "./adapter.ts";
export { AdapterError } from "./errors.ts";
export { type LohaConfig } from "./loha/config.ts";
export { LohaLinear } from "./loha/layer.ts";
export { type LoraConfig } from "./lora/config.ts";
export { DoraLinear } from "./lora/dora.ts";
export { LoraLinear } from "./lora/layer.ts";
export type { AdapterLayer, Json, Method, MethodConfig } from "./method.ts";
