import { rmsNorm, type Tensor } from "@welltempered/tensor";
import { Module, type Parameter } from "./module.ts";

/** y = x/√(mean(x²)+ε) ⊙ w.  x [N,D], w [D] */
export class RmsNorm extends Module {
  weight: Parameter;
  readonly epsilon: number;

  constructor(weight: Parameter, epsilon: number) {
    super();
    this.weight = weight;
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.tensor, this.epsilon);
  }
}
