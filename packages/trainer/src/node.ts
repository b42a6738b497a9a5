// What a session asks of Node; in a browser `no-node.ts` takes its place (`imports` of package.json).

import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import type { KernelBackend } from "@welltempered/kernels";

export { loadTokenizer } from "@welltempered/tokenizer/node";

/** Bytes a run may still take: `TEMPER_MEMORY_LIMIT` if set, else what its device, else what the system says. */
export function availableMemory(
  device: Pick<KernelBackend, "availableBytes">,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): number {
  const limit = Number(environment["TEMPER_MEMORY_LIMIT"] ?? Number.NaN);
  if (limit > 0) return limit;
  const own = device.availableBytes();
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
