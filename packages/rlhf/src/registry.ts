import { hingeLoss } from "./losses/hinge.ts";
import { ipoLoss } from "./losses/ipo.ts";
import { ktoPairLoss } from "./losses/kto-pair.ts";
import { orpoLoss } from "./losses/orpo.ts";
import { sigmoidLoss } from "./losses/sigmoid.ts";
import { simpoLoss } from "./losses/simpo.ts";
import type { PreferenceLoss, PreferenceName } from "./preference.ts";

export interface PreferenceKind {
  loss: PreferenceLoss;
  /** Whether the policy is measured against a reference. */
  reference: boolean;
  /** Log-probabilities of an answer: summed over its tokens, or their mean. */
  over: "sum" | "mean";
}

/** `pref_loss` → loss: one line each. */
export const preferenceLosses: Readonly<Record<PreferenceName, PreferenceKind>> = {
  sigmoid: { loss: sigmoidLoss, reference: true, over: "sum" },
  hinge: { loss: hingeLoss, reference: true, over: "sum" },
  ipo: { loss: ipoLoss, reference: true, over: "mean" },
  kto_pair: { loss: ktoPairLoss, reference: true, over: "sum" },
  orpo: { loss: orpoLoss, reference: false, over: "mean" },
  simpo: { loss: simpoLoss, reference: false, over: "mean" },
};
