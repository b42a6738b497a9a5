export { GenerateError, type GenerateErrorCode } from "./errors.ts";
export { generate, type Completion, type GenerateOptions, type OnToken } from "./generate.ts";
export { drawFor, philox } from "./philox.ts";
export { argmax, chooseToken, distribution, penalizeRepetition, type SamplingOptions } from "./sampling.ts";
