// What every entry of the package has: the loop, the objectives, and a run whose files are in memory.

export { fit, type EndReason, type FitOptions, type FitResult, type FitSettings } from "./fit.ts";
export { evaluate, type EvaluateOptions } from "./evaluate.ts";
export type { Batch, ExampleSet, LossResult, Objective, ObjectiveContext } from "./objective.ts";
export { dpoObjective, type DpoBatch, type DpoOptions, type ReferencePass } from "./objectives/dpo.ts";
export { pretrain } from "./objectives/pretrain.ts";
export { type RewardBatch, rewardModel, sequenceScores } from "./objectives/rm.ts";
export { sft } from "./objectives/sft.ts";
export { planSteps, type PlanOptions, type StepPlan } from "./plan.ts";
export { freshState, type LogEntry, type RunState } from "./state.ts";
export type { AfterBackward } from "./update.ts";
export { exactMatch, type Prediction } from "./session/answers.ts";
export { type ChatSession } from "./session/conversation.ts";
export { type Files, openTuner, type Tuner, type TunerOptions } from "./session/tuner.ts";
