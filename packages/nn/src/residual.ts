import { residualAdd, type Tensor } from "@welltempered/tensor";
import { Module } from "./module.ts";

/** x + delta after a sub-layer, delta being consumed: a module so that a PEFT method can put more there. */
export class Residual extends Module {
  forward(x: Tensor, delta: Tensor): Tensor {
    return residualAdd(...this.terms(x, delta));
  }

  /** What is to be added, for whoever adds and normalises at once (`RmsNorm.addForward`); the second is consumed. */
  terms(x: Tensor, delta: Tensor): [x: Tensor, delta: Tensor] {
    return [x, delta];
  }
}
