export {
  adapterConfigText,
  type AdapterFolder,
  type AdapterToWrite,
  adapterWeights,
  modelCard,
  type ModelCard,
  readAdapterFolder,
  writeAdapterFolder,
} from "./adapter-folder.ts";
export { writeFileAtomic } from "./atomic-file.ts";
export { checkWritable, removeLeftovers, writeFolderAtomic } from "./atomic-folder.ts";
export { CheckpointError, type CheckpointErrorCode } from "./errors.ts";
export { type GgufModel, openGguf } from "./gguf-source.ts";
export { type InputFile, ioError, makeFolder, openInput, readWhole, Scratch } from "./io.ts";
export {
  blockCodecs,
  type CheckOptions,
  checkWeights,
  type ExpectedTensor,
  isBitsandbytes,
  loadTensor,
  plainDtypes,
} from "./load-tensor.ts";
export { type FolderLock, lockFolder } from "./lock.ts";
export { hashFile, type Manifest, type ManifestFile, manifestName, readManifest, verifyManifest } from "./manifest.ts";
export { type ModelFolder, readConfig, readJsonFile, readModelFolder } from "./model-folder.ts";
export { type ModelTokenizer, type OpenModel, openModel } from "./open-model.ts";
export { openValueHead, valueHeadName } from "./value-head-file.ts";
export { openSafetensors, type StoredDtype, type TensorInfo, type WeightSource } from "./weight-source.ts";
export { bitsandbytesWriter, type CodedWeight, type CodedWriter, quantizationConfig } from "./write-bitsandbytes.ts";
export { type TensorToWrite, writeModelWeights, writeSafetensors } from "./write-safetensors.ts";
