import { addConstant, logSigmoid, scale, sub } from "@welltempered/tensor";
import type { PreferenceLoss } from "../preference.ts";

/** SimPO (Meng et al. 2024): −log σ(β(log p_c − log p_r) − γ) of token means. No reference. */
export const simpoLoss: PreferenceLoss = ({ chosen, rejected }, { beta, simpoGamma }) =>
  scale(logSigmoid(addConstant(scale(sub(chosen, rejected), beta), -simpoGamma)), -1);
