export { ConfigError, type ConfigErrorCode } from "./errors.ts";
export { configFromText, loadConfig, makeConfig, type LoadedConfig } from "./load.ts";
export type { Purpose } from "./rules.ts";
export { help, jsonSchema, keyGroups, type SupportedKey } from "./table.ts";
export type { KeySpec } from "./kinds.ts";
export type {
  DataConfig,
  FinetuningConfig,
  FinetuningType,
  GeneratingConfig,
  InferDtype,
  IntervalStrategy,
  JsonObject,
  JsonValue,
  MachineConfig,
  ModelConfig,
  QuantizationMethod,
  RopeScaling,
  RunConfig,
  SaveStrategy,
  SchedulerName,
  Stage,
  TrainingConfig,
} from "./run-config.ts";
