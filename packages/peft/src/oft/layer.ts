import { Parameter, Projection, type Linear } from "@welltempered/nn";
import { cayleyBlocks, skewBlocks, type Tensor } from "@welltempered/tensor";
import { replaceInF32 } from "../merging.ts";
import type { AdapterLayer } from "../method.ts";
import { neumann, rotate } from "../rotation.ts";

export interface OftLayerOptions {
  /** b of the formula. */
  blockSize: number;
  /** Terms of the Cayley-Neumann series; undefined for the exact Cayley transform. */
  neumannTerms: number | undefined;
}

/**
 * OFT (Qiu et al. 2023, 2025): y = W Rᵀ x + b, R block-diagonal of in/b orthogonal blocks: of a skew-symmetric Q each,
 * exactly (I − Q)(I + Q)⁻¹, or a few terms of the series for −Q.  oft_R [in/b, b(b−1)/2] of zeros: Q above the diagonal
 */
export class OftLinear extends Projection implements AdapterLayer {
  base: Linear;
  oft_R: Parameter;
  readonly #options: OftLayerOptions;

  constructor(base: Linear, options: OftLayerOptions) {
    super();
    const { blockSize } = options;
    this.base = base;
    this.#options = options;
    const { engine } = base.weight.tensor;
    this.oft_R = new Parameter(engine.zeros([base.inFeatures / blockSize, (blockSize * (blockSize - 1)) / 2]));
    this.oft_R.trainable = true;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  forward(x: Tensor): Tensor {
    return this.base.forward(rotate(x, this.#delta()));
  }

  /** R − I in blocks side by side [b,in]. */
  #delta(): Tensor {
    const { blockSize, neumannTerms } = this.#options;
    const q = skewBlocks(this.oft_R.tensor, blockSize);
    return neumannTerms === undefined ? cayleyBlocks(q) : neumann(q, neumannTerms);
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [["oft_R.weight", this.oft_R]];
  }

  /** W ← W·Rᵀ */
  merge(): Linear {
    replaceInF32(this.base.weight, (w) => rotate(w, this.#delta(), { transposed: true }));
    this.oft_R.dispose();
    return this.base;
  }
}
