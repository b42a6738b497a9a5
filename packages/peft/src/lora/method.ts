import type { Linear } from "@welltempered/nn";
import { AdapterError } from "../errors.ts";
import type { Method } from "../method.ts";
import { patterned } from "../targets.ts";
import { readLoraConfig, scalingOf, writeLoraConfig, type LoraConfig } from "./config.ts";
import { DoraLinear } from "./dora.ts";
import { LoraLinear } from "./layer.ts";

function wrap(path: string, linear: Linear, config: LoraConfig): LoraLinear {
  const r = patterned(config.rankPattern, path) ?? config.r;
  // What PiSSA has trained is saved as LoRA of twice the rank.
  if (r > Math.min(linear.inFeatures, linear.outFeatures) * (config.pissaIterations === undefined ? 2 : 1)) {
    throw new AdapterError(
      `rank ${r} is above the dimensions of ${path} (${linear.outFeatures} × ${linear.inFeatures})`,
    );
  }
  const alpha = patterned(config.alphaPattern, path) ?? config.alpha;
  const { dropout, pissaIterations } = config;
  const options = { path, r, scaling: scalingOf(config, r, alpha), dropout, pissaIterations };
  return config.useDora ? new DoraLinear(linear, options) : new LoraLinear(linear, options);
}

export const lora: Method<LoraConfig> = { read: readLoraConfig, write: writeLoraConfig, wrap };
