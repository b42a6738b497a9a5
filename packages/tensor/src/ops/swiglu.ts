import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

/** SwiGLU (Shazeer 2020): y = silu(gate) ⊙ up.  [N,F], [N,F] → [N,F].  dgate = g·up·σ(1 + gate(1 − σ)), dup = g·silu(gate) */
const swigluOp = defineOp<Record<never, never>>("swiglu", {
  shape: ([gate = [], up = []]) => {
    expectShape(
      gate.length === 2 && gate[0] === up[0] && gate[1] === up[1],
      "swiglu",
      "gate and up of one shape",
      gate,
      up,
    );
    return [gate];
  },
  forward: ({ k, save }, [gate, up]) => {
    save(gate as Slot, up as Slot);
    return [k.swiglu(gate as Slot, up as Slot)];
  },
  readsNarrow: true,
  again: ({ k, saved: [gate, up] }) => k.swiglu(gate as Slot, up as Slot),
  backward: ({ k, saved: [gate, up] }, [g]) => k.swigluBackward(g as Slot, gate as Slot, up as Slot),
});

/** silu(gate) ⊙ up. */
export const swiglu = (gate: Tensor, up: Tensor): Tensor => swigluOp([gate, up], {})[0] as Tensor;
