import { Parameter, Projection, type Linear } from "@welltempered/nn";
import { dropout, linear, linearAdd, streamOf, type Tensor } from "@welltempered/tensor";
import type { AdapterLayer } from "../method.ts";
import { replaceInF32, weightCopy } from "../weight.ts";

export interface LoraLayerOptions {
  /** Path of the wrapped projection: names its random streams. */
  path: string;
  r: number;
  /** s of the formula. */
  scaling: number;
  dropout: number;
}

/** LoRA (Hu et al. 2021): y = W x + s · B A dropout(x).  A [r,in] uniform(±1/√in), B [out,r] zero. */
export class LoraLinear extends Projection implements AdapterLayer {
  base: Linear;
  lora_A: Parameter;
  lora_B: Parameter;
  readonly scaling: number;
  readonly #dropout: number;
  readonly #stream: number;

  constructor(base: Linear, { path, r, scaling, dropout: rate }: LoraLayerOptions) {
    super();
    const { engine } = base.weight.tensor;
    this.base = base;
    this.scaling = scaling;
    this.#dropout = rate;
    this.#stream = streamOf(`${path}.lora_dropout`);
    const bound = 1 / Math.sqrt(base.inFeatures);
    this.lora_A = new Parameter(engine.uniform([r, base.inFeatures], -bound, bound, streamOf(`${path}.lora_A`)));
    this.lora_B = new Parameter(engine.zeros([base.outFeatures, r]));
    this.lora_A.trainable = true;
    this.lora_B.trainable = true;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  forward(x: Tensor): Tensor {
    return this.addProduct(this.base.forward(x), this.dropped(x));
  }

  override get stochastic(): boolean {
    return this.#dropout > 0;
  }

  /** dropout(x); x itself where none acts. */
  protected dropped(x: Tensor): Tensor {
    return dropout(x, this.training ? this.#dropout : 0, this.#stream);
  }

  /** y + s · B A x in the memory of y, which is consumed. */
  protected addProduct(y: Tensor, x: Tensor): Tensor {
    return linearAdd(y, linear(x, this.lora_A.tensor), this.lora_B.tensor, this.scaling);
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [
      ["lora_A.weight", this.lora_A],
      ["lora_B.weight", this.lora_B],
    ];
  }

  /** W ← `adaptedWeight()`. The adapter's own tensors are freed. */
  merge(): Linear {
    replaceInF32(this.base.weight, () => this.adaptedWeight());
    for (const [, parameter] of this.adapterTensors()) parameter.dispose();
    return this.base;
  }

  /** W + s · B A in f32, beside the tape. */
  protected adaptedWeight(): Tensor {
    const sum = weightCopy(this.base);
    sum.engine.backend.matmul("nn", this.lora_B.tensor.slot, this.lora_A.tensor.slot, this.scaling, sum.slot);
    return sum;
  }
}
