// A run that cannot fit is refused before it loads anything.

import { UserError } from "@welltempered/formats";

/** A run that does not fit, exit code 3. `fact` says so, `remedy` what to do where nothing better is known. */
export class MemoryError extends UserError {
  readonly fact: string;

  constructor(fact: string, remedy: string) {
    super(`${fact}; ${remedy}`, 3);
    this.fact = fact;
  }
}

/** @throws {MemoryError} with both numbers, where more is needed than is available */
export function checkMemory(needed: number, available: number, model: string): void {
  if (needed <= available) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  throw new MemoryError(
    `${model}: needs about ${gigabytes(needed)} of memory, ${gigabytes(available)} are available`,
    "use a smaller model, batch or cutoff_len",
  );
}
