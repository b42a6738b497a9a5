export type GenerateErrorCode = "EMPTY_PROMPT" | "NOT_FINITE";

/** A prompt that cannot be continued, or a model whose logits are not numbers. */
export class GenerateError extends Error {
  readonly code: GenerateErrorCode;
  readonly hint: string;
  constructor(code: GenerateErrorCode, message: string, hint: string) {
    super(message);
    this.name = "GenerateError";
    this.code = code;
    this.hint = hint;
  }
}
