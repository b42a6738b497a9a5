import { Module, Parameter, type Linear } from "@welltempered/nn";
import { concatRows, linear, linearAdd, matmul, mul, scale, type Engine, type Tensor } from "@welltempered/tensor";

export interface PrincipalOptions {
  r: number;
  /** s of the adapter. */
  scaling: number;
  /** Of the randomised decomposition; −1: exact. */
  iterations: number;
  /** Names the random stream of its start. */
  stream: number;
}

/**
 * What PiSSA (Meng et al. 2024) takes out of a weight and trains: s · B₀A₀ = U S Vᵀ, the r largest singular values, as
 * A₀ = √(S/s) Vᵀ [r,in] and B₀ = U √(S/s) [out,r].  The weight itself stays as it is, in its codec, and y = W x − s · B₀A₀ x.
 */
export class Principal extends Module {
  first_A: Parameter;
  first_B: Parameter;
  readonly #scaling: number;

  constructor({ weight }: Linear, { r, scaling, iterations, stream }: PrincipalOptions) {
    super();
    const { engine, slot } = weight.tensor;
    this.#scaling = scaling;
    [this.first_A, this.first_B] = engine.noGrad(() =>
      engine.scope((): [Parameter, Parameter] => {
        const [uSlot, sSlot, vtSlot] = engine.backend.svd(slot, r, iterations, engine.key(stream));
        const [u, s, vt] = [engine.adopt(uSlot), engine.adopt(sSlot), engine.adopt(vtSlot)];
        const roots = mul(identity(engine, r), engine.adopt(engine.backend.unary("sqrt", scale(s, 1 / scaling).slot)));
        return [new Parameter(matmul(roots, vt)), new Parameter(matmul(u, roots))];
      }),
    );
  }

  /** What training starts from: A and B. */
  copies(): [a: Parameter, b: Parameter] {
    const copy = ({ tensor: { engine, slot } }: Parameter): Parameter =>
      new Parameter(engine.adopt(engine.backend.copy(slot)));
    return [copy(this.first_A), copy(this.first_B)];
  }

  /** y − s · B₀A₀ x in the memory of y, which is consumed. */
  taken(y: Tensor, x: Tensor): Tensor {
    return linearAdd(y, linear(x, this.first_A.tensor), this.first_B.tensor, -this.#scaling);
  }

  /** W ← W − s · B₀A₀ */
  takeFrom({ engine, slot }: Tensor): void {
    engine.backend.matmul("nn", this.first_B.tensor.slot, this.first_A.tensor.slot, -this.#scaling, slot);
  }

  /** [A; A₀] [2r,in] and [B, −B₀] [out,2r]: their product is BA − B₀A₀. */
  joined(a: Parameter, b: Parameter): [a: Parameter, b: Parameter] {
    const { engine } = a.tensor;
    return engine.noGrad(() =>
      engine.scope(() => [
        new Parameter(concatRows(a.tensor, this.first_A.tensor)),
        new Parameter(engine.adopt(engine.backend.joinColumns([b.tensor.slot, scale(this.first_B.tensor, -1).slot]))),
      ]),
    );
  }
}

function identity(engine: Engine, size: number): Tensor {
  const ones = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
  return engine.tensor(ones, [size, size]);
}
