import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { KernelBackend, Shape, Slot } from "@welltempered/kernels";

const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** In memory of its own: a later op may write into an input that nobody else holds. */
function reshaped(k: KernelBackend, x: Slot, shape: Shape): Slot {
  const copy = k.copy(x);
  const result = k.reshape(copy, shape);
  k.free(copy);
  return result;
}

/** The same numbers in another shape.  dx = g in the shape of x */
const reshapeOp = defineOp<{ from: Shape; to: Shape }>("reshape", {
  shape: ([x = []], { to }) => {
    expectShape(sizeOf(x) === sizeOf(to), "reshape", `as many elements as [${to.join(", ")}] has`, x);
    return [to];
  },
  forward: ({ k }, [x], { to }) => [reshaped(k, x as Slot, to)],
  backward: ({ k }, [g], { from }) => [reshaped(k, g as Slot, from)],
});

/** A copy of x with another shape of the same size. */
export const reshape = (x: Tensor, shape: Shape): Tensor => reshapeOp([x], { from: x.shape, to: shape })[0] as Tensor;
