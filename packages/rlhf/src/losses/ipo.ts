import { addConstant, mul, sub } from "@welltempered/tensor";
import type { PreferenceLoss } from "../preference.ts";

/** IPO (Azar et al. 2023): (z − 1/(2β))², z = Δ̄_c − Δ̄_r of token means. */
export const ipoLoss: PreferenceLoss = ({ chosen, rejected }, { beta }) => {
  const distance = addConstant(sub(chosen, rejected), -1 / (2 * beta));
  return mul(distance, distance);
};
