import { dropout, streamOf, type Engine, type Tensor } from "@welltempered/tensor";
import { Linear } from "./linear.ts";
import { Module, Parameter } from "./module.ts";

/**
 * The head of a reward model as TRL has it: r = w·dropout(h) + b, one number for a hidden state. It starts as torch's
 * linear layer does, weight and bias uniform in ±1/√width.
 */
export class ValueHead extends Module {
  summary: Linear;
  /** Rate of dropout in front of it while training. */
  readonly dropout: number;

  constructor(engine: Engine, width: number, dropoutRate: number) {
    super();
    const bound = 1 / Math.sqrt(width);
    const draw = (name: string, ...shape: number[]): Parameter =>
      new Parameter(engine.uniform(shape, -bound, bound, streamOf(`v_head.summary.${name}`)));
    this.summary = new Linear(draw("weight", 1, width), draw("bias", 1));
    this.dropout = dropoutRate;
  }

  /** hidden [N,D] → [N,1] */
  forward(hidden: Tensor): Tensor {
    return this.summary.forward(dropout(hidden, this.training ? this.dropout : 0, streamOf("v_head.dropout")));
  }
}
