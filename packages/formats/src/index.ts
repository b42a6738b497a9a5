export { UserError, type UserExitCode } from "./errors.ts";
