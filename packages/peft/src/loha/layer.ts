import { Parameter, Projection, type Linear } from "@welltempered/nn";
import { linear, matmul, mul, recompute, residualAdd, scale, streamOf, type Tensor } from "@welltempered/tensor";
import type { AdapterLayer } from "../method.ts";
import { replaceInF32, weightCopy } from "../weight.ts";

export interface LohaLayerOptions {
  /** Path of the wrapped projection: names its random streams. */
  path: string;
  r: number;
  /** s of the formula. */
  scaling: number;
}

/** LoHa (Hyeon-Woo et al. 2022): y = W x + s·(A₁B₁ ⊙ A₂B₂) x.  A [out,r] uniform(±1/√r), B [r,in] uniform(±1/√in), B₂ zero. */
export class LohaLinear extends Projection implements AdapterLayer {
  base: Linear;
  hada_w1_a: Parameter;
  hada_w1_b: Parameter;
  hada_w2_a: Parameter;
  hada_w2_b: Parameter;
  readonly scaling: number;

  constructor(base: Linear, { path, r, scaling }: LohaLayerOptions) {
    super();
    const { engine } = base.weight.tensor;
    const { inFeatures: inn, outFeatures: out } = base;
    const drawn = (name: string, rows: number, columns: number): Parameter => {
      const bound = 1 / Math.sqrt(columns);
      return new Parameter(engine.uniform([rows, columns], -bound, bound, streamOf(`${path}.${name}`)));
    };
    this.base = base;
    this.scaling = scaling;
    this.hada_w1_a = drawn("hada_w1_a", out, r);
    this.hada_w1_b = drawn("hada_w1_b", r, inn);
    this.hada_w2_a = drawn("hada_w2_a", out, r);
    this.hada_w2_b = new Parameter(engine.zeros([r, inn]));
    for (const [, parameter] of this.adapterTensors()) parameter.trainable = true;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** The difference is as large as W: it is made again for the backward pass instead of kept for every layer. */
  forward(x: Tensor): Tensor {
    const product = recompute(x.engine, [x], ([again = x]) => linear(again, this.#difference()));
    return residualAdd(this.base.forward(x), product);
  }

  /** s·(A₁B₁ ⊙ A₂B₂) [out,in] */
  #difference(): Tensor {
    const first = matmul(this.hada_w1_a.tensor, scale(this.hada_w1_b.tensor, this.scaling));
    return mul(first, matmul(this.hada_w2_a.tensor, this.hada_w2_b.tensor));
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [
      ["hada_w1_a", this.hada_w1_a],
      ["hada_w1_b", this.hada_w1_b],
      ["hada_w2_a", this.hada_w2_a],
      ["hada_w2_b", this.hada_w2_b],
    ];
  }

  merge(): Linear {
    replaceInF32(this.base.weight, () => {
      const sum = weightCopy(this.base);
      sum.engine.backend.accumulate(sum.slot, this.#difference().slot, 1);
      return sum;
    });
    for (const [, parameter] of this.adapterTensors()) parameter.dispose();
    return this.base;
  }
}
