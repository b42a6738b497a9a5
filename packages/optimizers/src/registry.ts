import type { Engine } from "@welltempered/tensor";
import { adafactor } from "./adafactor.ts";
import { adamw8bit, type AdamW8bitSettings } from "./adamw-8bit.ts";
import { adamw, type AdamWSettings } from "./adamw.ts";
import { lion, type LionSettings } from "./lion.ts";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { sgd, type SgdSettings } from "./sgd.ts";

/** Hugging Face's `optim` names with the settings that each one reads. A new optimizer is a new line here. */
export interface OptimizerSettings {
  adamw_torch: AdamWSettings;
  adamw_8bit: AdamW8bitSettings;
  adafactor: void;
  lion_32bit: LionSettings;
  sgd: SgdSettings;
}

export type OptimizerName = keyof OptimizerSettings;

type Registry = {
  [Name in OptimizerName]: (
    engine: Engine,
    groups: readonly ParameterGroup[],
    settings: OptimizerSettings[Name],
  ) => Optimizer;
};

export const optimizers: Registry = {
  adamw_torch: adamw,
  adamw_8bit: adamw8bit,
  adafactor,
  lion_32bit: lion,
  sgd,
};
