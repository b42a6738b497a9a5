// What a run that does not fit may change, and what each change would leave.

import type { RunConfig } from "@welltempered/config";
import { UserError } from "@welltempered/formats";
import { halfOf } from "./engine.ts";

interface Change {
  /** As it is written in the configuration. */
  settings: string;
  apply: Partial<RunConfig>;
}

/** Below this share of what the run holds beside the program a change is not worth telling. */
const WORTH = 0.02;
const TOLD = 3;

/** The changes that leave least, least first. */
export async function changesOf(
  config: RunConfig,
  peakOf: (config: RunConfig) => Promise<number>,
  { peak, program }: { peak: number; program: number },
): Promise<{ settings: string; peak: number }[]> {
  const found: { settings: string; peak: number }[] = [];
  for (const { settings, apply } of candidates(config)) {
    const left = await tried(() => peakOf({ ...config, ...apply }));
    if (left !== undefined && left < peak - WORTH * (peak - program)) found.push({ settings, peak: left });
  }
  return found.sort((a, b) => a.peak - b.peak).slice(0, TOLD);
}

/** Undefined where the change is refused, as for a model that is in blocks already. */
async function tried(peak: () => Promise<number>): Promise<number | undefined> {
  try {
    return await peak();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function candidates(config: RunConfig): Change[] {
  const { perDeviceTrainBatchSize: batch, gradientAccumulationSteps: accumulation, cutoffLen, optim } = config;
  const whole = config.finetuningType === "full" || config.finetuningType === "freeze";
  const halved = Math.ceil(batch / 2);
  const doubled = Math.round((accumulation * batch) / halved);
  const changes: (Change | false)[] = [
    whole && { settings: "finetuning_type: lora", apply: { finetuningType: "lora" } },
    !whole &&
      !config.trainFromScratch &&
      !config.resizeVocab &&
      config.addTokens.length + config.addSpecialTokens.length === 0 &&
      Object.keys(config.newSpecialTokensConfig).length === 0 &&
      config.quantizationBit === undefined && { settings: "quantization_bit: 4", apply: { quantizationBit: 4 } },
    whole &&
      !config.pureBf16 &&
      !config.fp16 &&
      (optim === "adamw_torch" || optim === "lion_32bit") && {
        settings: "pure_bf16: true",
        apply: { pureBf16: true },
      },
    halfOf(config) === undefined && { settings: "bf16: true", apply: { bf16: true } },
    !config.gradientCheckpointing &&
      config.finetuningType !== "prefix_tuning" && {
        settings: "gradient_checkpointing: true",
        apply: { gradientCheckpointing: true },
      },
    batch > 1 && {
      settings: `per_device_train_batch_size: ${halved}, gradient_accumulation_steps: ${doubled}`,
      apply: { perDeviceTrainBatchSize: halved, gradientAccumulationSteps: doubled },
    },
    cutoffLen > 1 && {
      settings: `cutoff_len: ${Math.ceil(cutoffLen / 2)}`,
      apply: { cutoffLen: Math.ceil(cutoffLen / 2) },
    },
    optim === "adamw_torch" && !config.pureBf16 && { settings: "optim: adamw_8bit", apply: { optim: "adamw_8bit" } },
  ];
  return changes.filter((change) => change !== false);
}
