export type CheckpointErrorCode = "WRONG_BYTES" | "DUPLICATE_NAME" | "BAD_NAME";

/** A mistake of the caller, not of the user: bytes that do not fill a shape, a name given twice. */
export class CheckpointError extends Error {
  readonly code: CheckpointErrorCode;
  readonly hint: string;

  constructor(code: CheckpointErrorCode, message: string, hint: string) {
    super(`${message}; ${hint}`);
    this.name = "CheckpointError";
    this.code = code;
    this.hint = hint;
  }
}
