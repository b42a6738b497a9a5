import { defineOp } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { ActivationKind, Slot } from "@welltempered/kernels";

/** y = f(x): relu max(x, 0), silu x·σ(x), tanh.  [...] → [...].  dx = g ⊙ f′(x) */
const activateOp = defineOp<{ kind: ActivationKind }>("activate", {
  shape: ([x = []]) => [x],
  forward: ({ k, save }, [x], { kind }) => {
    save(x as Slot);
    return [k.activate(kind, x as Slot)];
  },
  backward: ({ k, saved: [x] }, [g], { kind }) => [k.activateBackward(kind, g as Slot, x as Slot)],
});

/** An activation by name, elementwise; relu′(0) = 0. */
export const activate = (kind: ActivationKind, x: Tensor): Tensor => activateOp([x], { kind })[0] as Tensor;
