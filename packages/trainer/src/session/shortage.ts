// A run for which memory was not enough, said with what would save most.

import type { RunConfig } from "@welltempered/config";
import { KernelError } from "@welltempered/kernels";
import { MemoryError } from "../memory.ts";
import { savingsOf } from "./forecast.ts";

/** The error as it is, or, where memory was short, one that names the settings which would save most. */
export async function withSavings(error: unknown, config: RunConfig): Promise<unknown> {
  const fact = shortage(error);
  if (fact === undefined) return error;
  try {
    const savings = await savingsOf(config);
    return savings.length === 0 ? error : new MemoryError(fact, `these save most: ${savings.join("; ")}`);
  } catch {
    // What cannot be told must not hide what happened.
    return error;
  }
}

function shortage(error: unknown): string | undefined {
  if (error instanceof MemoryError) return error.fact;
  return error instanceof KernelError && error.code === "OUT_OF_MEMORY" ? error.message : undefined;
}
