export type TensorErrorCode = "SHAPE_MISMATCH" | "TENSOR_DISPOSED" | "NO_GRADIENT" | "ENGINE_MISMATCH";

/** A mistake in the use of tensors: names the op and both sides. */
export class TensorError extends Error {
  readonly code: TensorErrorCode;
  constructor(code: TensorErrorCode, message: string) {
    super(message);
    this.name = "TensorError";
    this.code = code;
  }
}
