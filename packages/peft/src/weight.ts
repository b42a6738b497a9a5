// The weight of a wrapped projection, whatever dtype it is stored in.

import type { Linear } from "@welltempered/nn";
import { cast, type Tensor } from "@welltempered/tensor";

/** An f32 copy that the caller may write into.  [out,in] */
export function weightCopy({ weight: { tensor } }: Linear): Tensor {
  const { engine, dtype, slot } = tensor;
  return engine.adopt(dtype === "f32" ? engine.backend.copy(slot) : engine.backend.cast(slot, "f32"));
}

/** Puts what `merged` computes in f32 in the place of the weight, in the weight's own dtype. */
export function replaceWeight({ weight }: Linear, merged: () => Tensor): void {
  const { engine, dtype } = weight.tensor;
  engine.noGrad(() => engine.scope(() => weight.replace(cast(merged(), dtype))));
}
