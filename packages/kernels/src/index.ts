export type {
  ActivationKind,
  AdafactorOptions,
  AdamWOptions,
  AttentionLayout,
  AttentionOptions,
  BinaryKind,
  BitsandbytesCodec,
  UnaryKind,
  Codec,
  CodedMoments,
  DType,
  FourBitCodec,
  LlmInt8Codec,
  GgufCodec,
  KernelBackend,
  LionOptions,
  MatmulLayout,
  RngKey,
  SgdOptions,
  Shape,
  Slot,
  StorageType,
} from "./backend.ts";
export { KernelError } from "./errors.ts";
export type { KernelErrorCode } from "./errors.ts";
export type { LibraryAttempt } from "./library.ts";
export { isCodec } from "./storage.ts";
export { describeBackends, openBackend } from "./loader.ts";
export type { BackendOptions, BackendReport, Device } from "./loader.ts";
