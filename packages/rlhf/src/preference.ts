import type { Tensor } from "@welltempered/tensor";

/**
 * How much likelier each answer is under the policy than under the reference: log π − log π_ref of the pairs of a
 * micro-batch, [P]. Where a loss has no reference, log π alone. Summed over the answer's tokens, or their mean.
 */
export interface LogRatios {
  chosen: Tensor;
  rejected: Tensor;
}

/** Values of `pref_loss`. */
export type PreferenceName = "sigmoid" | "hinge" | "ipo" | "kto_pair" | "orpo" | "simpo";

export interface PreferenceSettings {
  /** β: how dear a step away from the reference is. */
  beta: number;
  /** ε of the sigmoid loss: the share of pairs taken to be labelled the wrong way round. */
  labelSmoothing: number;
  /** γ of SimPO: the margin to win by. */
  simpoGamma: number;
}

/** The loss of each pair, [P]; its mean is trained on. */
export type PreferenceLoss = (logRatios: LogRatios, settings: PreferenceSettings) => Tensor;
