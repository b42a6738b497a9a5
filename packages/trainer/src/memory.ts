// What the machine has left, so that a run that cannot fit is refused before it loads anything.

import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { UserError } from "@welltempered/formats";

/** Bytes this process may still take: `TEMPER_MEMORY_LIMIT` if set, else what the system says is available. */
export function availableMemory(environment: Readonly<Record<string, string | undefined>> = process.env): number {
  const limit = Number(environment["TEMPER_MEMORY_LIMIT"] ?? Number.NaN);
  if (limit > 0) return limit;
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

/** @throws {UserError} exit code 3, with both numbers, where more is needed than is available */
export function checkMemory(needed: number, available: number, model: string): void {
  if (needed <= available) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  throw new UserError(
    `${model}: needs about ${gigabytes(needed)} of memory, ${gigabytes(available)} are available; use a smaller model, batch or cutoff_len`,
    3,
  );
}
