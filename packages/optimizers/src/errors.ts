export type OptimizersErrorCode = "BAD_OPTION" | "BAD_STATE";

/** A wrong option or a state that does not fit: the message names the key, what was got and what is wanted. */
export class OptimizersError extends Error {
  readonly code: OptimizersErrorCode;
  readonly hint: string;
  constructor(code: OptimizersErrorCode, message: string, hint: string) {
    super(message);
    this.name = "OptimizersError";
    this.code = code;
    this.hint = hint;
  }
}
