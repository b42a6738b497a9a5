import { activate, add, exp, logSigmoid, mean, scale, scaleBy, sub, type Tensor } from "@welltempered/tensor";
import type { PreferenceLoss } from "../preference.ts";

/**
 * KTO on pairs (Ethayarajh et al. 2024, equation 7): 1 − σ(β(Δ_c − K_r)) and 1 − σ(β(K_c − Δ_r)), added: the mean of
 * both is half of it. K = max(0, mean Δ) of the micro-batch estimates the divergence, each answer's from the others;
 * gradients flow through it, as they did in TRL, whose loss this was.
 */
export const ktoPairLoss: PreferenceLoss = ({ chosen, rejected }, { beta }) => {
  const [chosenKl, rejectedKl] = [divergence(chosen), divergence(rejected)];
  const desirable = oneMinusSigmoid(scale(sub(chosen, rejectedKl), beta));
  const undesirable = oneMinusSigmoid(scale(sub(chosenKl, rejected), beta));
  return scale(add(desirable, undesirable), 0.5);
};

/** max(0, mean) in every place, [P]; as torch's clamp, and unlike relu, it has slope 1 at 0, where every run starts. */
function divergence(logRatios: Tensor): Tensor {
  const { engine, dtype, shape } = logRatios;
  const ones = engine.zeros(shape, dtype);
  engine.backend.fill(ones.slot, 1);
  const value = mean(logRatios);
  return scaleBy(ones, add(value, activate("relu", scale(value, -1))));
}

/** 1 − σ(x) = σ(−x) = e^(log σ(−x)) */
const oneMinusSigmoid = (x: Tensor): Tensor => exp(logSigmoid(scale(x, -1)));
