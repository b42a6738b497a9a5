export { ModelConfigError } from "./errors.ts";
export type { ConfigRecord } from "./fields.ts";
export { initialWeights, type Architecture, type Weights } from "./model.ts";
export { architectureOf, type NamedArchitecture } from "./registry.ts";
export { readRope, ropeFrequencies, type RopeConfig } from "./rope.ts";
