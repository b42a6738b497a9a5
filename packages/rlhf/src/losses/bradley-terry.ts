import { logSigmoid, scale, sub, type Tensor } from "@welltempered/tensor";

/** Scores of the answers of a micro-batch of pairs, [P,1]. */
export interface Scores {
  chosen: Tensor;
  rejected: Tensor;
}

/** The loss of a reward model (Ouyang et al. 2022), after Bradley and Terry (1952): −log σ(r_c − r_r).  [P,1] */
export const bradleyTerryLoss = ({ chosen, rejected }: Scores): Tensor => scale(logSigmoid(sub(chosen, rejected)), -1);
