import { numbersFrom, Parameter, Projection, type Linear } from "@welltempered/nn";
import {
  dropout,
  linear,
  matmul,
  mul,
  recompute,
  reshape,
  residualAdd,
  splitColumns,
  streamOf,
  takeRows,
  type Tensor,
} from "@welltempered/tensor";
import type { AdapterLayer } from "../method.ts";
import { replaceInF32, weightCopy } from "../weight.ts";
import type { VeraProjections } from "./projections.ts";

export interface VeraLayerOptions {
  /** Path of the wrapped projection: names its random streams. */
  path: string;
  dropout: number;
  /** What every element of λ_d starts at. */
  dInitial: number;
}

/**
 * VeRA (Kopiczko et al. 2023): y = W x + λ_b ⊙ B (λ_d ⊙ A dropout(x)).  A [r,in], B [out,r] are corners of the shared
 * matrices; λ_d [r] is constant at first, λ_b [out] zero.
 */
export class VeraLinear extends Projection implements AdapterLayer {
  base: Linear;
  vera_A: Parameter;
  vera_B: Parameter;
  vera_lambda_d: Parameter;
  vera_lambda_b: Parameter;
  readonly #dropout: number;
  readonly #stream: number;

  constructor(base: Linear, { vera_A, vera_B }: VeraProjections, { path, dropout: rate, dInitial }: VeraLayerOptions) {
    super();
    const { engine } = base.weight.tensor;
    this.base = base;
    this.vera_A = vera_A;
    this.vera_B = vera_B;
    this.#dropout = rate;
    this.#stream = streamOf(`${path}.vera_dropout`);
    const lambdaD = engine.ones([vera_A.shape[0] ?? 0]);
    engine.backend.fill(lambdaD.slot, dInitial);
    this.vera_lambda_d = new Parameter(lambdaD);
    this.vera_lambda_b = new Parameter(engine.zeros([base.outFeatures]));
    for (const [, parameter] of this.adapterTensors()) parameter.trainable = true;
  }

  override get stochastic(): boolean {
    return this.#dropout > 0;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** The corners are cut out, and the product is made, again for the backward pass: a layer keeps nothing but x. */
  forward(x: Tensor): Tensor {
    const product = recompute(x.engine, [x], ([again = x]) => {
      const dropped = dropout(again, this.training ? this.#dropout : 0, this.#stream);
      const inner = mul(linear(dropped, this.#cornerOfA()), this.vera_lambda_d.tensor);
      return mul(linear(inner, this.#cornerOfB()), this.vera_lambda_b.tensor);
    });
    return residualAdd(this.base.forward(x), product);
  }

  /** The first columns of A.  [r,in] */
  #cornerOfA(): Tensor {
    const { tensor } = this.vera_A;
    const rest = (tensor.shape[1] ?? 0) - this.inFeatures;
    const [corner = tensor] = rest === 0 ? [] : splitColumns(tensor, [this.inFeatures, rest]);
    return corner;
  }

  /** The first rows of B.  [out,r] */
  #cornerOfB(): Tensor {
    const { tensor } = this.vera_B;
    const rows = this.outFeatures;
    if (tensor.shape[0] === rows) return tensor;
    return takeRows(tensor, tensor.engine.tensor(numbersFrom(0, rows)));
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [
      ["vera_lambda_b", this.vera_lambda_b],
      ["vera_lambda_d", this.vera_lambda_d],
    ];
  }

  /** W ← W + (λ_b ⊙ B) (λ_d ⊙ A). The shared matrices stay: other layers need them. */
  merge(): Linear {
    replaceInF32(this.base.weight, () => {
      const sum = weightCopy(this.base);
      const { backend } = sum.engine;
      const column = reshape(this.vera_lambda_b.tensor, [this.outFeatures, 1]);
      const scales = matmul(column, reshape(this.vera_lambda_d.tensor, [1, this.vera_lambda_d.size]));
      backend.matmul("nn", mul(this.#cornerOfB(), scales).slot, this.#cornerOfA().slot, 1, sum.slot);
      return sum;
    });
    for (const [, parameter] of this.adapterTensors()) parameter.dispose();
    return this.base;
  }
}
