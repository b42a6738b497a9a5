// A lower estimate of what a run needs, so that one that cannot fit is refused before it loads anything.

import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import type { Shape } from "@welltempered/kernels";
import { UserError } from "@welltempered/formats";

export interface MemoryPlan {
  /** Bytes of all weights as they will be held. */
  weights: number;
  /** Parameters that train: each has a gradient in f32. */
  trainable: number;
  /** Bytes of optimizer state for each of them. */
  stateBytes: number;
  /** Shapes of the model's weights. */
  shapes: Iterable<Shape>;
  /** Tokens of the longest micro-batch; 0 where nothing trains. */
  batchTokens: number;
}

/**
 * Bytes: weights, gradients, optimizer state, and for each token of a micro-batch the outputs of all projections, which
 * backward needs, in f32.
 */
export function estimateMemory({ weights, trainable, stateBytes, shapes, batchTokens }: MemoryPlan): number {
  const outputs = [...shapes].reduce((sum, shape) => sum + (shape.length === 2 ? (shape[0] ?? 0) : 0), 0);
  const widest = [...shapes].reduce((most, shape) => Math.max(most, shape[0] ?? 0), 0);
  return weights + (4 + stateBytes) * trainable + 4 * batchTokens * Math.max(0, outputs - widest);
}

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

/** @throws {UserError} exit code 3, with both numbers, where the estimate is above what is available */
export function checkMemory(needed: number, available: number, model: string): void {
  if (needed <= available) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  throw new UserError(
    `${model}: needs about ${gigabytes(needed)} of memory, ${gigabytes(available)} are available; use a smaller model, batch or cutoff_len`,
    3,
  );
}
