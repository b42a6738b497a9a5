import { activate, addConstant, scale, sub } from "@welltempered/tensor";
import type { PreferenceLoss } from "../preference.ts";

/** SLiC (Zhao et al. 2023) with the reference of DPO: max(0, 1 − βz), z = Δ_c − Δ_r. */
export const hingeLoss: PreferenceLoss = ({ chosen, rejected }, { beta }) =>
  activate("relu", addConstant(scale(sub(chosen, rejected), -beta), 1));
