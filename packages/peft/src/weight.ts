// The weight of a wrapped projection, whatever dtype it is stored in.

import type { Linear, Parameter } from "@welltempered/nn";
import { cast, type Tensor } from "@welltempered/tensor";

/** An f32 copy that the caller may write into.  [out,in] */
export function weightCopy({ weight: { tensor } }: Linear): Tensor {
  const { engine, dtype, slot } = tensor;
  return engine.adopt(dtype === "f32" ? engine.backend.copy(slot) : engine.backend.cast(slot, "f32"));
}

/** Puts f(parameter), computed in f32, in its place and back in its dtype. */
export function replaceInF32(parameter: Parameter, f: (value: Tensor) => Tensor): void {
  const { engine, dtype } = parameter.tensor;
  engine.noGrad(() => engine.scope(() => parameter.replace(cast(f(cast(parameter.tensor, "f32")), dtype))));
}
