export { bradleyTerryLoss, type Scores } from "./losses/bradley-terry.ts";
export { hingeLoss } from "./losses/hinge.ts";
export { ipoLoss } from "./losses/ipo.ts";
export { ktoPairLoss } from "./losses/kto-pair.ts";
export { oddsRatioLoss, orpoLoss } from "./losses/orpo.ts";
export { sigmoidLoss } from "./losses/sigmoid.ts";
export { simpoLoss } from "./losses/simpo.ts";
export type { LogRatios, PreferenceLoss, PreferenceName, PreferenceSettings } from "./preference.ts";
export { preferenceLosses, type PreferenceKind } from "./registry.ts";
