import { Linear, Parameter, Projection } from "@welltempered/nn";
import { matmul, mul, reshape, type Tensor } from "@welltempered/tensor";
import { replaceInF32 } from "../merging.ts";
import type { AdapterLayer } from "../method.ts";

/** (IA)³ (Liu et al. 2022): y = l ⊙ (W x + b), or W (l ⊙ x) + b in feed-forward modules.  l [out,1] or [1,in] of ones */
export class Ia3Linear extends Projection implements AdapterLayer {
  base: Linear;
  ia3_l: Parameter;
  readonly #feedforward: boolean;

  constructor(base: Linear, { feedforward }: { feedforward: boolean }) {
    super();
    const { engine } = base.weight.tensor;
    this.base = base;
    this.#feedforward = feedforward;
    this.ia3_l = new Parameter(engine.ones(feedforward ? [1, base.inFeatures] : [base.outFeatures, 1]));
    this.ia3_l.trainable = true;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  forward(x: Tensor): Tensor {
    return this.#feedforward ? this.base.forward(mul(x, this.#row())) : mul(this.base.forward(x), this.#row());
  }

  /** l as a row that broadcasts. */
  #row(): Tensor {
    return reshape(this.ia3_l.tensor, [this.ia3_l.size]);
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [["ia3_l", this.ia3_l]];
  }

  /** W ← W·diag(l), or diag(l)·W and b ← l ⊙ b. */
  merge(): Linear {
    const { weight, bias } = this.base;
    if (this.#feedforward) replaceInF32(weight, (w) => mul(w, this.#row()));
    else {
      replaceInF32(weight, (w) => mul(w, matmul(this.ia3_l.tensor, w.engine.ones([1, this.inFeatures]))));
      if (bias !== undefined) replaceInF32(bias, (b) => mul(b, this.#row()));
    }
    this.ia3_l.dispose();
    return this.base;
  }
}
