export { Adapter, readAdapterConfig, type AdapterConfig } from "./adapter.ts";
export { AdapterError } from "./errors.ts";
export { chooseTrained, type FreezeSettings } from "./freeze.ts";
export { type LoraConfig } from "./lora/config.ts";
export { LoraLinear } from "./lora/layer.ts";
export type { AdapterLayer, Json, Method, MethodConfig } from "./method.ts";
