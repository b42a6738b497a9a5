import { Parameter, Projection, type Linear } from "@welltempered/nn";
import { add, dropout, linear, linearAdd, lowRankLinear, streamOf, type Tensor } from "@welltempered/tensor";
import type { AdapterLayer, NamedParameters } from "../method.ts";
import { replaceInF32, weightCopy } from "../weight.ts";
import { Principal } from "./pissa.ts";

export interface LoraLayerOptions {
  /** Path of the wrapped projection: names its random streams. */
  path: string;
  r: number;
  /** s of the formula. */
  scaling: number;
  dropout: number;
  /** The layer starts as PiSSA does, see `LoraConfig`. */
  pissaIterations?: number | undefined;
}

/** LoRA (Hu et al. 2021): y = W x + s · B A dropout(x).  A [r,in] uniform(±1/√in), B [out,r] zero. */
export class LoraLinear extends Projection implements AdapterLayer {
  base: Linear;
  lora_A: Parameter;
  lora_B: Parameter;
  /** What the base goes without. */
  principal: Principal | undefined;
  readonly scaling: number;
  readonly #dropout: number;
  readonly #stream: number;

  constructor(base: Linear, { path, r, scaling, dropout: rate, pissaIterations }: LoraLayerOptions) {
    super();
    const { engine } = base.weight.tensor;
    this.base = base;
    this.scaling = scaling;
    this.#dropout = rate;
    this.#stream = streamOf(`${path}.lora_dropout`);
    const stream = streamOf(`${path}.lora_A`);
    if (pissaIterations === undefined) {
      const bound = 1 / Math.sqrt(base.inFeatures);
      this.lora_A = new Parameter(engine.uniform([r, base.inFeatures], -bound, bound, stream));
      this.lora_B = new Parameter(engine.zeros([base.outFeatures, r]));
    } else {
      this.principal = new Principal(base, { r, scaling, iterations: pissaIterations, stream });
      [this.lora_A, this.lora_B] = this.principal.copies();
    }
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
    const dropped = this.dropped(x);
    if (dropped !== x || this.principal !== undefined) return this.addProduct(this.baseProduct(x), dropped);
    const { weight, bias } = this.base;
    const y = lowRankLinear(x, weight.tensor, this.lora_A.tensor, this.lora_B.tensor, this.scaling);
    return bias === undefined ? y : add(y, bias.tensor);
  }

  /** W x, or with PiSSA (W − s · B₀A₀) x. */
  protected baseProduct(x: Tensor): Tensor {
    const y = this.base.forward(x);
    return this.principal === undefined ? y : this.principal.taken(y, x);
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

  get fileTensors(): (() => NamedParameters) | undefined {
    const { principal } = this;
    return principal && (() => this.converted(principal));
  }

  /** As LoRA of twice the rank, which fits the whole base. */
  protected converted(principal: Principal): NamedParameters {
    const [a, b] = principal.joined(this.lora_A, this.lora_B);
    return [
      ["lora_A.weight", a],
      ["lora_B.weight", b],
    ];
  }

  /** W ← `adaptedWeight()`. The adapter's own tensors are freed. */
  merge(): Linear {
    replaceInF32(this.base.weight, () => this.adaptedWeight());
    for (const [, parameter] of this.adapterTensors()) parameter.dispose();
    this.principal?.dispose();
    return this.base;
  }

  /** W + s · B A, or with PiSSA W − s · B₀A₀ + s · B A, in f32, beside the tape. */
  protected adaptedWeight(): Tensor {
    const sum = weightCopy(this.base);
    this.principal?.takeFrom(sum);
    sum.engine.backend.matmul("nn", this.lora_B.tensor.slot, this.lora_A.tensor.slot, this.scaling, sum.slot);
    return sum;
  }
}
