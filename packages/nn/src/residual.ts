import { residualAdd, type Tensor } from "@welltempered/tensor";
import { Module } from "./module.ts";

/** x + delta after a sub-layer, delta being consumed: a module so that a PEFT method can put more there. */
export class Residual extends Module {
  forward(x: Tensor, delta: Tensor): Tensor {
    return residualAdd(x, delta);
  }
}
