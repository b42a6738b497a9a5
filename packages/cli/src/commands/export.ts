import { loadConfig } from "@welltempered/config";
import type { Context } from "../context.ts";
import { compute, signalCodes } from "../compute.ts";
import { checkTarget } from "../folders.ts";

/** `temper export`: merges adapters and writes a model folder; returns the exit code. */
export async function exportModel(words: string[], context: Context): Promise<number> {
  const { config, warnings } = loadConfig(words, "export");
  if (config.exportDir !== undefined) checkTarget("export_dir", config.exportDir, config);
  for (const message of warnings) context.listen({ type: "notice", level: "warning", message });
  const quit = (signal: "SIGINT" | "SIGTERM"): never => process.exit(signalCodes[signal]);
  process.on("SIGINT", quit).on("SIGTERM", quit);
  try {
    await compute({ task: "export", config, onEvent: context.listen }).result;
  } finally {
    context.settle();
    process.off("SIGINT", quit).off("SIGTERM", quit);
  }
  return 0;
}
