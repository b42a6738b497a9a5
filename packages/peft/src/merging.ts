import type { Parameter } from "@welltempered/nn";
import { cast, type Tensor } from "@welltempered/tensor";

/** Puts f(parameter), computed in f32, in its place and back in its dtype. */
export function replaceInF32(parameter: Parameter, f: (value: Tensor) => Tensor): void {
  const { engine, dtype } = parameter.tensor;
  engine.noGrad(() => engine.scope(() => parameter.replace(cast(f(cast(parameter.tensor, "f32")), dtype))));
}
