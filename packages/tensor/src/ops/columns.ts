import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

interface Columns {
  widths: readonly number[];
}

/** Columns of x [N, Σ widths] as parts [N,width]: what a fused projection computed.  dx = the parts' gradients side by side */
const splitOp = defineOp<Columns>("splitColumns", {
  shape: ([x = []], { widths }) => {
    const total = widths.reduce((sum, width) => sum + width, 0);
    expectShape(x.length === 2 && x[1] === total, "splitColumns", `x [N, ${widths.join(" + ")}]`, x);
    return widths.map((width) => [x[0] ?? 0, width]);
  },
  forward: ({ k }, [x], { widths }) => k.splitColumns(x as Slot, widths),
  // A part that nothing used has no gradient: its columns get zeros.
  backward: ({ k }, grads: readonly (Slot | undefined)[], { widths }) => {
    const known = grads.find((grad) => grad !== undefined) as Slot;
    const unused: Slot[] = [];
    const parts = widths.map((width, index) => {
      const grad = grads[index];
      if (grad !== undefined) return grad;
      const zeros = k.alloc(k.dtype(known), [k.shape(known)[0] ?? 0, width]);
      unused.push(zeros);
      return zeros;
    });
    const dx = k.joinColumns(parts);
    for (const zeros of unused) k.free(zeros);
    return [dx];
  },
});

/** Columns of x, one part after another.  x [N, Σ widths] → [N,width] each. */
export const splitColumns = (x: Tensor, widths: readonly number[]): Tensor[] => splitOp([x], { widths });
