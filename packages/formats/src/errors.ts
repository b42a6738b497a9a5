/** Exit codes of a run stopped by its surroundings: 2 bad input or usage, 3 environment, 4 numerics. */
export type UserExitCode = 2 | 3 | 4;

/** Something the user can put right; its message is the one line they read: `<file>[:line|key|byte]: <what>; <what to do>`. */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly exitCode: UserExitCode;

  constructor(message: string, exitCode: UserExitCode = 2) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What a parser found wrong. The safetensors codes are the error classes of the reference crate. */
export type FormatsErrorCode =
  | "JSON"
  | "HEADER_TOO_SMALL"
  | "HEADER_TOO_LARGE"
  | "INVALID_HEADER_LENGTH"
  | "INVALID_HEADER"
  | "INVALID_OFFSET"
  | "TENSOR_INVALID_INFO"
  | "MISALIGNED_SLICE"
  | "METADATA_INCOMPLETE_BUFFER"
  | "VALIDATION_OVERFLOW"
  | "STRICTER_THAN_REFERENCE"
  | "GGUF_HEADER"
  | "GGUF_METADATA"
  | "GGUF_TENSOR"
  | "GGUF_DATA";

/** A file that breaks its format: a UserError (exit code 2) that also says which rule. */
export class FormatsError extends UserError {
  readonly code: FormatsErrorCode;
  readonly hint: string;

  constructor(code: FormatsErrorCode, where: string, what: string, hint: string) {
    super(`${where}: ${what}; ${hint}`);
    this.code = code;
    this.hint = hint;
  }
}
