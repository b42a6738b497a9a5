import { logSigmoid, scale, sub } from "@welltempered/tensor";
import type { PreferenceLoss } from "../preference.ts";

/** DPO (Rafailov et al. 2023), with ε > 0 its conservative form (Mitchell 2023): −(1−ε)·log σ(βz) − ε·log σ(−βz), z = Δ_c − Δ_r. */
export const sigmoidLoss: PreferenceLoss = ({ chosen, rejected }, { beta, labelSmoothing }) => {
  const margin = scale(sub(chosen, rejected), beta);
  const loss = scale(logSigmoid(margin), labelSmoothing - 1);
  return labelSmoothing === 0 ? loss : sub(loss, scale(logSigmoid(scale(margin, -1)), labelSmoothing));
};
