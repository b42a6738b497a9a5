// What every entry of the package has: the contract, its errors, the counting backend.

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
  FileRange,
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
export { CountingBackend } from "./counting/backend.ts";
export type { Peak } from "./counting/memory.ts";
export { flopOf, headRows } from "./counting/work.ts";
export type { Attended, Product, Work } from "./counting/work.ts";
export { bytesOf, ggufCodecs, isCodec } from "./storage.ts";
