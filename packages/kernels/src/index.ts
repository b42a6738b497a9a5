export type {
  ActivationKind,
  AdafactorOptions,
  AdamWOptions,
  AttentionLayout,
  AttentionOptions,
  BinaryKind,
  UnaryKind,
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
