export { FormatsError, type FormatsErrorCode, UserError, type UserExitCode } from "./errors.ts";
export {
  decodeUtf8,
  isJsonObject,
  type JsonObject,
  type JsonOptions,
  type JsonValue,
  parseJson,
  parseJsonObject,
} from "./json.ts";
export { type JsonWriteOptions, pythonFloat, writeJson } from "./json-write.ts";
export { nameList, printable } from "./printable.ts";
export {
  layoutSafetensors,
  parseSafetensorsHeader,
  safetensorsByteSize,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type SafetensorsHeader,
  safetensorsHeaderLength,
  type SafetensorsLayout,
  type SafetensorsSpec,
} from "./safetensors.ts";
export { type ByteSource, bytesSource } from "./bytes.ts";
export { type GgmlType, ggmlTypes } from "./ggml-types.ts";
export {
  type GgufField,
  type GgufHeader,
  type GgufOptions,
  type GgufTensor,
  type GgufValue,
  parseGguf,
} from "./gguf.ts";
export { type GgufFields } from "./gguf-fields.ts";
export { llamaConfig, llamaTensorName, permutedHeads, unpermuteRows } from "./gguf-llama.ts";
export { type GgufTokenizer, readGgufTokenizer } from "./gguf-tokenizer.ts";
