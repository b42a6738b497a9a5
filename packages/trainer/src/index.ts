export * from "./everywhere.ts";
export { openChat } from "./session/chat.ts";
export { runExport } from "./session/export.ts";
export { loadModel, type LoadedModel } from "./session/load-model.ts";
export { openBase } from "./session/open-base.ts";
export { openRewardModel, type RewardModel } from "./session/score.ts";
export { type Forecast, runPlan } from "./session/forecast.ts";
export { runTraining, type RunOutcome } from "./session/train.ts";
