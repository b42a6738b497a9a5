import { addRmsNorm, rmsNorm, type Tensor } from "@welltempered/tensor";
import { Module, type Parameter } from "./module.ts";

/** y = x/√(mean(x²)+ε) ⊙ (w + offset).  x [N,D] or, head by head, [N,H·D], w [D]; an offset of 1 where checkpoints keep w around 0. */
export class RmsNorm extends Module {
  weight: Parameter;
  readonly epsilon: number;
  readonly offset: number;

  constructor(weight: Parameter, epsilon: number, offset = 0) {
    super();
    this.weight = weight;
    this.epsilon = epsilon;
    this.offset = offset;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.tensor, this.epsilon, this.offset);
  }

  /** x + delta, delta being consumed, and the norm of that sum. */
  addForward(x: Tensor, delta: Tensor): [sum: Tensor, normed: Tensor] {
    return addRmsNorm(x, delta, this.weight.tensor, this.epsilon, this.offset);
  }
}
