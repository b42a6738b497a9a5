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
export { add, addConstant, mean, mul, residualAdd, scale, scaleBy, sub, sum } from "./ops/arithmetic.ts";
export { argmax } from "./ops/argmax.ts";
export { attention, type AttentionOptions } from "./ops/attention.ts";
export { cast } from "./ops/cast.ts";
export { concatRows } from "./ops/concat-rows.ts";
export { splitColumns } from "./ops/columns.ts";
export { dropout } from "./ops/dropout.ts";
export { geglu } from "./ops/geglu.ts";
export { exp, logOneMinusExp, logSigmoid } from "./ops/functions.ts";
export { linearCrossEntropy, linearLogProb } from "./ops/head.ts";
export { linear, linearAdd, lowRankLinear, matmul } from "./ops/linear.ts";
export { reshape } from "./ops/reshape.ts";
export { addRmsNorm, rmsNorm } from "./ops/rms-norm.ts";
export { rope, ropeTable, type RopeTable } from "./ops/rope.ts";
export { cayleyBlocks, matmulBlocks, permuteColumns, skewBlocks } from "./ops/rotations.ts";
export { softCap } from "./ops/soft-cap.ts";
export { segmentSum } from "./ops/segment-sum.ts";
export { swiglu } from "./ops/swiglu.ts";
export { takeRows } from "./ops/take-rows.ts";
