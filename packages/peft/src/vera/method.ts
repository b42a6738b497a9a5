import type { Method } from "../method.ts";
import { readVeraConfig, writeVeraConfig, type VeraConfig } from "./config.ts";
import { VeraLinear } from "./layer.ts";
import { VeraProjections } from "./projections.ts";

export const vera: Method<VeraConfig, VeraProjections> = {
  read: readVeraConfig,
  write: writeVeraConfig,
  share: (linears, config) => new VeraProjections(linears, config),
  wrap: (path, linear, { dropout, dInitial }, shared) => new VeraLinear(linear, shared, { path, dropout, dInitial }),
};
