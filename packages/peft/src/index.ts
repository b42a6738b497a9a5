export { Adapter, isMergeable, readAdapterConfig, type AdapterConfig } from "./adapter.ts";
export { presets, type BottleneckConfig } from "./bottleneck/config.ts";
export { Bottleneck } from "./bottleneck/layer.ts";
export { AdapterError } from "./errors.ts";
export { type BoftConfig } from "./boft/config.ts";
export { BoftLinear } from "./boft/layer.ts";
export { type Ia3Config } from "./ia3/config.ts";
export { Ia3Linear } from "./ia3/layer.ts";
export { type LohaConfig } from "./loha/config.ts";
export { LohaLinear } from "./loha/layer.ts";
export { chooseTrained, type FreezeSettings } from "./freeze.ts";
export { type LoraConfig } from "./lora/config.ts";
export { DoraLinear } from "./lora/dora.ts";
export { LoraLinear } from "./lora/layer.ts";
export { Principal } from "./lora/pissa.ts";
export type {
  AdapterLayer,
  AdapterLibrary,
  AdapterPart,
  AttachedMethod,
  Attachment,
  ConfigFormat,
  Json,
  Method,
  MethodConfig,
  NamedParameters,
  SharedTensors,
} from "./method.ts";
export { type OftConfig } from "./oft/config.ts";
export { OftLinear } from "./oft/layer.ts";
export { type PrefixTuningConfig } from "./prefix-tuning/config.ts";
export { PrefixEncoder, PrefixTable } from "./prefix-tuning/prefix.ts";
export { noModules } from "./prompt-learning.ts";
export { type PromptTuningConfig } from "./prompt-tuning/config.ts";
export { PromptTuning } from "./prompt-tuning/prompt.ts";
export { type VeraConfig } from "./vera/config.ts";
export { VeraLinear } from "./vera/layer.ts";
