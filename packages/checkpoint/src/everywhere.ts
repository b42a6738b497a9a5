// What every entry of the package has: all that asks no file system.
export {
  adapterConfigText,
  adapterFiles,
  type AdapterFolder,
  type AdapterToWrite,
  adapterWeights,
  modelCard,
  type ModelCard,
  valueHeadName,
} from "./adapter-folder.ts";
export { CheckpointError, type CheckpointErrorCode } from "./errors.ts";
export { type InputFile, Scratch } from "./input.ts";
export {
  blockCodecs,
  type CheckOptions,
  checkWeights,
  type ExpectedTensor,
  isBitsandbytes,
  loadTensor,
  plainDtypes,
} from "./load-tensor.ts";
export { modelFromFiles } from "./model-files.ts";
export type { ModelTokenizer, OpenModel } from "./open-model.ts";
export { safetensorsBytes, type TensorToWrite } from "./safetensors-parts.ts";
export { type StoredDtype, type TensorInfo, type WeightSource } from "./weight-source.ts";
