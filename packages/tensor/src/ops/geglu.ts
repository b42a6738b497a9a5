import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

/**
 * GeGLU (Shazeer 2020) with the tanh form of gelu: y = gelu(gate) ⊙ up, gelu(x) = x·σ(2√(2/π)·(x + 0.044715·x³)).
 * [N,F], [N,F] → [N,F].  dgate = g·up·gelu'(gate), dup = g·gelu(gate)
 */
const gegluOp = defineOp<Record<never, never>>("geglu", {
  shape: ([gate = [], up = []]) => {
    const ok = gate.length === 2 && gate[0] === up[0] && gate[1] === up[1];
    expectShape(ok, "geglu", "gate and up of one shape", gate, up);
    return [gate];
  },
  forward: ({ k, save }, [gate, up]) => {
    save(gate as Slot, up as Slot);
    return [k.geglu(gate as Slot, up as Slot)];
  },
  readsNarrow: true,
  again: ({ k, saved: [gate, up] }) => k.geglu(gate as Slot, up as Slot),
  backward: ({ k, saved: [gate, up] }, [g]) => k.gegluBackward(g as Slot, gate as Slot, up as Slot),
});

/** gelu(gate) ⊙ up. */
export const geglu = (gate: Tensor, up: Tensor): Tensor => gegluOp([gate, up], {})[0] as Tensor;
