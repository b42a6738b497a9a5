import { logOneMinusExp, logSigmoid, scale, sub, type Tensor } from "@welltempered/tensor";
import type { LogRatios, PreferenceLoss } from "../preference.ts";

/** −log σ of the log odds ratio, log(p_c/(1−p_c)) − log(p_r/(1−p_r)), of token means of log p.  [P] */
export const oddsRatioLoss = ({ chosen, rejected }: LogRatios): Tensor =>
  scale(logSigmoid(sub(sub(chosen, rejected), sub(logOneMinusExp(chosen), logOneMinusExp(rejected)))), -1);

/** ORPO (Hong et al. 2024): −log p_c + β·(odds-ratio loss). No reference. */
export const orpoLoss: PreferenceLoss = (logRatios, { beta }) =>
  sub(scale(oddsRatioLoss(logRatios), beta), logRatios.chosen);
