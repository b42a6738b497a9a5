import { UserError } from "@welltempered/formats";

/** What is wrong: a file, the model in it, a pattern, a special token, the input text, or a chat template. */
export type TokenizerErrorCode = "file" | "model" | "pattern" | "special-token" | "input" | "template";

/** A tokenizer or chat template the user can put right; `place` is `file`, `file:line:column` or `file:key`. */
export class TokenizerError extends UserError {
  readonly code: TokenizerErrorCode;
  readonly hint: string;

  constructor(code: TokenizerErrorCode, place: string, what: string, hint: string) {
    super(`${place}: ${what}; ${hint}`);
    this.code = code;
    this.hint = hint;
  }
}
