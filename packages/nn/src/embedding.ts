import { takeRows, type Tensor } from "@welltempered/tensor";
import { Module, type Parameter } from "./module.ts";

/** Rows of a table by token id.  weight [V,D]; ids i32 [N] → [N,D] */
export class Embedding extends Module {
  weight: Parameter;

  constructor(weight: Parameter) {
    super();
    this.weight = weight;
  }

  forward(ids: Tensor): Tensor {
    return takeRows(this.weight.tensor, ids);
  }
}
