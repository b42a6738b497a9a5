// What a device or the machine has left, so that a run that cannot fit is refused before it loads anything.

import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { UserError } from "@welltempered/formats";
import type { KernelBackend } from "@welltempered/kernels";

/** Bytes a run may still take: `TEMPER_MEMORY_LIMIT` if set, else what its device, else what the system says. */
export function availableMemory(
  device?: Pick<KernelBackend, "availableBytes">,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): number {
  const limit = Number(environment["TEMPER_MEMORY_LIMIT"] ?? Number.NaN);
  if (limit > 0) return limit;
  const own = device?.availableBytes();
  if (own !== undefined) return own;
  const constrained = process.constrainedMemory?.() ?? 0;
  const free = memAvailable() ?? freemem();
  return constrained > 0 && constrained < 2 ** 60
    ? Math.min(free, Math.max(0, constrained - process.memoryUsage().rss))
    : free;
}

/** Linux counts caches it can drop as available; `freemem` does not on Node 20. */
function memAvailable(): number | undefined {
  try {
    const match = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"));
    return match === null ? undefined : Number(match[1]) * 1024;
  } catch {
    return undefined;
  }
}

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
