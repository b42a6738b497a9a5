export type {
  AdafactorOptions,
  AdamWOptions,
  AttentionLayout,
  BinaryKind,
  BlockCodec,
  CodedMoments,
  DType,
  KernelBackend,
  LionOptions,
  MatmulLayout,
  RngKey,
  SgdOptions,
  Shape,
  Slot,
} from "./backend.ts";
export { KernelError } from "./errors.ts";
export type { KernelErrorCode } from "./errors.ts";
export type { LibraryAttempt } from "./library.ts";
export { describeBackends, openBackend } from "./loader.ts";
export type { BackendOptions, BackendReport, Device } from "./loader.ts";
