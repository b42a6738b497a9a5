import { Module, type Projection } from "@welltempered/nn";
import type { Tensor } from "@welltempered/tensor";
import type { ModuleSource } from "./module-source.ts";

/** down(act(gate(x)) ⊙ up(x)) with `unit` for act and ⊙: `swiglu`, `geglu` (Shazeer 2020). */
export class GatedMlp extends Module {
  gate_proj: Projection;
  up_proj: Projection;
  down_proj: Projection;
  readonly #unit: (gate: Tensor, up: Tensor) => Tensor;

  constructor(source: ModuleSource, unit: (gate: Tensor, up: Tensor) => Tensor) {
    super();
    this.#unit = unit;
    this.gate_proj = source.linear("gate_proj");
    this.up_proj = source.linear("up_proj");
    this.down_proj = source.linear("down_proj");
  }

  /** x [N,D] → [N,D] */
  forward(x: Tensor): Tensor {
    return this.down_proj.forward(this.#unit(this.gate_proj.forward(x), this.up_proj.forward(x)));
  }
}
