export { adafactor } from "./adafactor.ts";
export { adamw8bit, type AdamW8bitSettings } from "./adamw-8bit.ts";
export { adamw, type AdamWSettings } from "./adamw.ts";
export { clipGradients, type ClippedGradients } from "./clip.ts";
export { OptimizersError, type OptimizersErrorCode } from "./errors.ts";
export { decayGroups, isDecayed, loraPlusGroups, type LoraPlusSettings } from "./groups.ts";
export { createLearningRate, type LearningRate, type ScheduleName } from "./learning-rate.ts";
export { freshLossScale, nextLossScale, type LossScale } from "./loss-scale.ts";
export { lion, type LionSettings } from "./lion.ts";
export type { Optimizer, ParameterGroup, Trainable } from "./optimizer.ts";
export type { ScheduleOptions } from "./options.ts";
export { optimizers, type OptimizerName, type OptimizerSettings } from "./registry.ts";
export {
  createSchedule,
  stepScheduleNames,
  warmupStepCount,
  type Schedule,
  type ScheduleSpan,
  type StepScheduleName,
} from "./schedules.ts";
export { sgd, type SgdSettings } from "./sgd.ts";
