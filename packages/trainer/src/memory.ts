// What the machine has left, so that a run that cannot fit is refused before it loads anything.

import { UserError } from "@welltempered/formats";

/** @throws {UserError} exit code 3, with both numbers, where more is needed than is available */
export function checkMemory(needed: number, available: number, model: string): void {
  if (needed <= available) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  throw new UserError(
    `${model}: needs about ${gigabytes(needed)} of memory, ${gigabytes(available)} are available; use a smaller model, batch or cutoff_len`,
    3,
  );
}
