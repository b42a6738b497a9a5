import { defineOp } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

/** y = cap · tanh(x/cap), which keeps |y| below cap (Gemma 2).  dx = g ⊙ (1 − (y/cap)²) */
const softCapOp = defineOp<{ cap: number }>("softCap", {
  shape: ([x = []]) => [x],
  forward: ({ k, save }, [x], { cap }) => {
    const y = k.softCap(x as Slot, cap);
    save(y);
    return [y];
  },
  backward: ({ k, saved: [y] }, [g], { cap }) => {
    const square = k.binary("mul", y as Slot, y as Slot);
    const lost = k.binary("mul", square, g as Slot);
    const dx = k.copy(g as Slot);
    k.accumulate(dx, lost, -(cap ** -2));
    k.free(square);
    k.free(lost);
    return [dx];
  },
});

/** cap · tanh(x/cap), elementwise. */
export const softCap = (x: Tensor, cap: number): Tensor => softCapOp([x], { cap })[0] as Tensor;
