import { Parameter, type Linear } from "@welltempered/nn";
import { add, matmul, mul, residualAdd, scale, sub, type Tensor } from "@welltempered/tensor";
import type { NamedParameters } from "../method.ts";
import { weightCopy } from "../weight.ts";
import { LoraLinear, type LoraLayerOptions } from "./layer.ts";
import type { Principal } from "./pissa.ts";

/**
 * DoRA (Liu et al. 2024): y = (m ⊘ n) ⊙ V x,  V = W + s · B A,  n = ‖V‖ of each row, a constant to the gradient (its
 * section 4.3).  m [out] starts as ‖W‖; A and B as in LoRA.
 */
export class DoraLinear extends LoraLinear {
  lora_magnitude_vector: Parameter;

  constructor(base: Linear, options: LoraLayerOptions) {
    super(base, options);
    const { engine } = base.weight.tensor;
    this.lora_magnitude_vector = new Parameter(
      engine.noGrad(() => engine.scope(() => reciprocal(inverseNorms(weightCopy(base))))),
    );
    this.lora_magnitude_vector.trainable = true;
  }

  /** With dropout, as in peft, all of V takes the dropped x; what was dropped passes through W: W (x − dropout(x)). */
  override forward(x: Tensor): Tensor {
    const { base } = this;
    const dropped = this.dropped(x);
    const product = mul(this.addProduct(this.#withoutBias(dropped), dropped), this.#ratio());
    if (dropped !== x) return residualAdd(product, this.baseProduct(sub(x, dropped)));
    return base.bias === undefined ? product : add(product, base.bias.tensor);
  }

  override adapterTensors(): [name: string, parameter: Parameter][] {
    return [...super.adapterTensors(), ["lora_magnitude_vector", this.lora_magnitude_vector]];
  }

  protected override converted(principal: Principal): NamedParameters {
    return [...super.converted(principal), ["lora_magnitude_vector", this.lora_magnitude_vector]];
  }

  /** `baseProduct` of a projection that may add a bias. */
  #withoutBias(x: Tensor): Tensor {
    const y = this.baseProduct(x);
    return this.base.bias === undefined ? y : sub(y, this.base.bias.tensor);
  }

  /** (m ⊘ n) ⊙ V over the rows of V. */
  protected override adaptedWeight(): Tensor {
    const { engine } = this.base.weight.tensor;
    const ones = filled(engine.zeros([1, this.inFeatures]));
    return mul(super.adaptedWeight(), matmul(column(this.#ratio()), ones));
  }

  /** m ⊘ n [out] */
  #ratio(): Tensor {
    const { engine } = this.base.weight.tensor;
    return mul(
      this.lora_magnitude_vector.tensor,
      engine.noGrad(() => engine.scope(() => inverseNorms(super.adaptedWeight()))),
    );
  }
}

/** 1/‖v‖ of each row: RMSNorm's 1/√(mean(v²)), over √D.  v [N,D] → [N] */
function inverseNorms(v: Tensor): Tensor {
  const { engine, shape } = v;
  const [, width = 0] = shape;
  const [normed, inverse] = engine.backend.rmsNorm(v.slot, filled(engine.zeros([width])).slot, 0);
  engine.adopt(normed);
  return scale(engine.adopt(inverse), 1 / Math.sqrt(width));
}

/** 1/x for x > 0: each number a row of its own.  x [N] → [N] */
const reciprocal = (x: Tensor): Tensor => inverseNorms(column(x));

/** x [N] → [N,1] on the same memory, beside the tape. */
const column = (x: Tensor): Tensor => x.engine.adopt(x.engine.backend.reshape(x.slot, [x.size, 1]));

function filled(x: Tensor): Tensor {
  x.engine.backend.fill(x.slot, 1);
  return x;
}
