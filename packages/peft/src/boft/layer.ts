import { Parameter, Projection, type Linear } from "@welltempered/nn";
import {
  add,
  cayleyBlocks,
  linear,
  matmul,
  mul,
  reshape,
  scale,
  skewBlocks,
  takeRows,
  type Tensor,
} from "@welltempered/tensor";
import { replaceInF32 } from "../merging.ts";
import type { AdapterLayer } from "../method.ts";
import { rotate, type RotateOptions } from "../rotation.ts";
import { butterflyOrder } from "./butterfly.ts";

export interface BoftLayerOptions {
  blockSize: number;
  factors: number;
}

/**
 * BOFT (Liu et al. 2024): y = s ⊙ W Rᵀ x + b, R a product of block-diagonal rotations over butterflies of the channels,
 * each block the Cayley transform of ½(A − Aᵀ).  boft_R [factors, in/b, b, b] of zeros: A; boft_s [out,1] of ones: s
 */
export class BoftLinear extends Projection implements AdapterLayer {
  base: Linear;
  boft_R: Parameter;
  boft_s: Parameter;

  constructor(base: Linear, { blockSize, factors }: BoftLayerOptions) {
    super();
    const { engine } = base.weight.tensor;
    this.base = base;
    this.boft_R = new Parameter(engine.zeros([factors, base.inFeatures / blockSize, blockSize, blockSize]));
    this.boft_s = new Parameter(engine.ones([base.outFeatures, 1]));
    for (const [, parameter] of this.adapterTensors()) parameter.trainable = true;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = this.base;
    // The last factor stands leftmost in R, next to x.
    const rotated = this.#factors().reduceRight((rows, [delta, order]) => rotate(rows, delta, order), x);
    const y = mul(linear(rotated, weight.tensor), reshape(this.boft_s.tensor, [this.outFeatures]));
    return bias === undefined ? y : add(y, bias.tensor);
  }

  /** R − I of every factor in blocks side by side [b,in], and the order of its channels. */
  #factors(): (readonly [delta: Tensor, options: RotateOptions])[] {
    const [factors = 1, count = 1, size = 1] = this.boft_R.shape;
    const { engine } = this.boft_R.tensor;
    const matrices = reshape(this.boft_R.tensor, [factors * count, size * size]);
    return Array.from({ length: factors }, (_, factor) => {
      const rows = Int32Array.from({ length: count }, (_, block) => factor * count + block);
      const q = scale(skewBlocks(takeRows(matrices, engine.tensor(rows)), size), 0.5);
      const order = butterflyOrder(this.inFeatures, size, factor);
      return [cayleyBlocks(q), order === undefined ? {} : { order }] as const;
    });
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [
      ["boft_R", this.boft_R],
      ["boft_s", this.boft_s],
    ];
  }

  /** W ← diag(s)·W·Rᵀ */
  merge(): Linear {
    replaceInF32(this.base.weight, (w) => {
      const turned = this.#factors().reduce(
        (rows, [delta, options]) => rotate(rows, delta, { ...options, transposed: true }),
        w,
      );
      return mul(turned, matmul(this.boft_s.tensor, w.engine.ones([1, this.inFeatures])));
    });
    for (const [, parameter] of this.adapterTensors()) parameter.dispose();
    return this.base;
  }
}
