/** Stable names of what went wrong, the same in Rust. */
export type KernelErrorCode =
  | "INVALID_SHAPE"
  | "INVALID_DTYPE"
  | "INVALID_ARGUMENT"
  | "OUT_OF_RANGE"
  | "TENSOR_DISPOSED"
  | "OUT_OF_MEMORY"
  | "DEVICE_FAILED"
  | "PANIC"
  | "NO_BACKEND";

const HINTS: Record<KernelErrorCode, string> = {
  INVALID_SHAPE: "print the shapes of the tensors handed to this op",
  INVALID_DTYPE: "cast the tensor first",
  INVALID_ARGUMENT: "check the value named in the message",
  OUT_OF_RANGE: "check the ids against the size of the table",
  TENSOR_DISPOSED: "keep the tensor out of the scope that freed it, or copy it",
  OUT_OF_MEMORY:
    "lower per_device_train_batch_size or cutoff_len, set gradient_checkpointing: true, or quantization_bit: 4",
  DEVICE_FAILED: "start again; if it fails again, check the device with its own tools, or set TEMPER_DEVICE=cpu",
  PANIC: "the process goes on and other tensors are whole; please report the message",
  NO_BACKEND: "run `temper env` to see what was tried",
};

/** An op that was refused or failed; the message names the op and both sides of the disagreement. */
export class KernelError extends Error {
  readonly code: KernelErrorCode;
  readonly hint: string;

  constructor(code: KernelErrorCode, message: string, hint: string = HINTS[code]) {
    super(message);
    this.name = "KernelError";
    this.code = code;
    this.hint = hint;
  }
}

function isCode(code: unknown): code is KernelErrorCode {
  return typeof code === "string" && Object.hasOwn(HINTS, code);
}

/** What the native library threw. Codes of its own survive; a value of the wrong type is an invalid argument. */
export function toKernelError(op: string, error: unknown): KernelError {
  if (error instanceof KernelError) return error;
  if (!(error instanceof Error)) return new KernelError("INVALID_ARGUMENT", `${op}: ${String(error)}`);
  const code: unknown = Reflect.get(error, "code");
  if (isCode(code)) return new KernelError(code, error.message);
  if (error instanceof RangeError) return new KernelError("OUT_OF_MEMORY", `${op}: ${error.message}`);
  return new KernelError("INVALID_ARGUMENT", `${op}: ${error.message}`);
}
