import type { Linear } from "@welltempered/nn";
import type { Method } from "../method.ts";
import { patterned } from "../targets.ts";
import { readLohaConfig, writeLohaConfig, type LohaConfig } from "./config.ts";
import { LohaLinear } from "./layer.ts";

function wrap(path: string, linear: Linear, config: LohaConfig): LohaLinear {
  const r = patterned(config.rankPattern, path) ?? config.r;
  const alpha = patterned(config.alphaPattern, path) ?? config.alpha;
  return new LohaLinear(linear, { path, r, scaling: alpha / r });
}

export const loha: Method<LohaConfig> = { read: readLohaConfig, write: writeLohaConfig, wrap };
