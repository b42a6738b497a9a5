import type { Engine } from "@welltempered/tensor";
import { adamw, type AdamWSettings } from "./adamw.ts";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { sgd, type SgdSettings } from "./sgd.ts";

/** Hugging Face's `optim` names with the settings that each one reads. A new optimizer is a new line here. */
export interface OptimizerSettings {
  adamw_torch: AdamWSettings;
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

export const optimizers: Registry = { adamw_torch: adamw, sgd };
