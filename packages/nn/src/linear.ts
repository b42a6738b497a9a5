import { add, linear, type Tensor } from "@welltempered/tensor";
import { Module, type Parameter } from "./module.ts";

/** What a projection of a model is to its neighbours: a plain `Linear`, or a PEFT method around one. */
export abstract class Projection extends Module {
  abstract readonly inFeatures: number;
  abstract readonly outFeatures: number;
  /** x [N,in] → [N,out] in fresh memory that nobody else holds. */
  abstract forward(x: Tensor): Tensor;
}

/** y = x·Wᵀ (+ b).  W [out,in] in any dtype or codec the kernels can multiply by. */
export class Linear extends Projection {
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(weight: Parameter, bias?: Parameter) {
    super();
    this.weight = weight;
    this.bias = bias;
  }

  get inFeatures(): number {
    return this.weight.shape[1] ?? 0;
  }

  get outFeatures(): number {
    return this.weight.shape[0] ?? 0;
  }

  forward(x: Tensor): Tensor {
    const product = linear(x, this.weight.tensor);
    return this.bias === undefined ? product : add(product, this.bias.tensor);
  }
}
