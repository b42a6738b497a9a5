import { defineOp } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot, StorageType } from "@welltempered/kernels";

/** The same numbers in another dtype, rounded to nearest even.  dx = g in x's dtype */
const castOp = defineOp<{ from: StorageType; to: StorageType }>("cast", {
  shape: ([x = []]) => [x],
  forward: ({ k }, [x], { to }) => [k.cast(x as Slot, to)],
  backward: ({ k }, [g], { from }) => [k.cast(g as Slot, from)],
});

/** x in another dtype, dequantised or quantised where one of them is a codec; x itself where it has that dtype. */
export const cast = (x: Tensor, dtype: StorageType): Tensor =>
  x.dtype === dtype ? x : (castOp([x], { from: x.dtype, to: dtype })[0] as Tensor);
