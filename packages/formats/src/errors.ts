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
