import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { KernelBackend, Shape, Slot } from "@welltempered/kernels";

const size = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** A copy: two tensors on one memory would each take it for theirs when they write in place. */
function reshaped(k: KernelBackend, x: Slot, shape: Shape): Slot {
  const copy = k.copy(x);
  const result = k.reshape(copy, shape);
  k.free(copy);
  return result;
}

/** The same numbers in another shape.  dx = g in x's shape */
const reshapeOp = defineOp<{ from: Shape; to: Shape }>("reshape", {
  shape: ([x = []], { to }) => {
    expectShape(size(x) === size(to), "reshape", `${size(to)} elements for [${to.join(", ")}]`, x);
    return [to];
  },
  forward: ({ k }, [x], { to }) => [reshaped(k, x as Slot, to)],
  backward: ({ k }, [g], { from }) => [reshaped(k, g as Slot, from)],
});

/** x in another shape of as many elements, copied: meant for small tensors. */
export const reshape = (x: Tensor, shape: Shape): Tensor => reshapeOp([x], { from: x.shape, to: shape })[0] as Tensor;
