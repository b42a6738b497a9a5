export type { ActivationKind, DType, RngKey, Shape, Slot, StorageType } from "@welltempered/kernels";
export {
  defineOp,
  expectShape,
  type BackwardContext,
  type ForwardContext,
  type Op,
  type OpRules,
} from "./define-op.ts";
export { Engine, streamOf, type RngState } from "./engine.ts";
export { TensorError, type TensorErrorCode } from "./errors.ts";
export { Handle } from "./handle.ts";
export { recompute } from "./recompute.ts";
export { Tensor, type TensorData } from "./tensor.ts";
export { activate } from "./ops/activate.ts";
export { add, mul, residualAdd, scale, scaleBy, sub, sum } from "./ops/arithmetic.ts";
export { attention, type AttentionOptions } from "./ops/attention.ts";
export { cast } from "./ops/cast.ts";
export { concatRows } from "./ops/concat-rows.ts";
export { dropout } from "./ops/dropout.ts";
export { linearCrossEntropy, linearLogProb } from "./ops/head.ts";
export { linear, linearAdd, matmul } from "./ops/linear.ts";
export { reshape } from "./ops/reshape.ts";
export { rmsNorm } from "./ops/rms-norm.ts";
export { rope, ropeTable, type RopeTable } from "./ops/rope.ts";
export { cayleyBlocks, matmulBlocks, permuteColumns, skewBlocks } from "./ops/rotations.ts";
export { swiglu } from "./ops/swiglu.ts";
export { takeRows } from "./ops/take-rows.ts";
