import { loadConfig } from "@welltempered/config";
import type { Context } from "../context.ts";
import { computeWithSignals, signalCodes } from "../compute.ts";
import { checkTarget } from "../folders.ts";

/** `temper train`: everything the configuration asks for, in a worker; returns the exit code. */
export async function train(words: string[], context: Context): Promise<number> {
  const { config, warnings } = loadConfig(words, "train");
  if (config.outputDir !== undefined) checkTarget("output_dir", config.outputDir, config);
  for (const message of warnings) context.listen({ type: "notice", level: "warning", message });
  try {
    const options = { task: "train" as const, config, onEvent: context.listen };
    const { outcome, signal } = await computeWithSignals(options, context.note);
    return signal && outcome.reason === "stopped" ? signalCodes[signal] : 0;
  } finally {
    context.settle();
  }
}
