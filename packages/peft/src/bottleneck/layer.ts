import { Linear, Parameter, Residual } from "@welltempered/nn";
import { activate, residualAdd, streamOf, type ActivationKind, type Engine, type Tensor } from "@welltempered/tensor";

export interface BottleneckOptions {
  /** Names the random streams. */
  path: string;
  hiddenSize: number;
  /** Width between the two projections. */
  width: number;
  activation: ActivationKind;
  readsSum: boolean;
}

/**
 * After a sub-layer h of input x: y = x + h + up(f(down(z))), z = x + h (Pfeiffer et al. 2020) or z = h (Houlsby et al.
 * 2019).  down [width, D], up [D, width] from N(0, 0.02²), biases zero.
 */
export class Bottleneck extends Residual {
  adapter_down: Linear;
  adapter_up: Linear;
  readonly #activation: ActivationKind;
  readonly #readsSum: boolean;

  constructor(engine: Engine, { path, hiddenSize, width, activation, readsSum }: BottleneckOptions) {
    super();
    const drawn = (name: string, out: number, inn: number): Linear =>
      new Linear(
        new Parameter(engine.normal([out, inn], 0, 0.02, streamOf(`${path}.${name}`))),
        new Parameter(engine.zeros([out])),
      );
    this.adapter_down = drawn("adapter_down", width, hiddenSize);
    this.adapter_up = drawn("adapter_up", hiddenSize, width);
    this.#activation = activation;
    this.#readsSum = readsSum;
    for (const [, parameter] of this.namedParameters()) parameter.trainable = true;
  }

  override terms(x: Tensor, delta: Tensor): [x: Tensor, delta: Tensor] {
    if (!this.#readsSum) return [x, residualAdd(delta, this.#added(delta))];
    const sum = residualAdd(x, delta);
    return [sum, this.#added(sum)];
  }

  #added(z: Tensor): Tensor {
    return this.adapter_up.forward(activate(this.#activation, this.adapter_down.forward(z)));
  }
}
