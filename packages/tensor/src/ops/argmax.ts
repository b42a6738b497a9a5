import type { Tensor } from "../tensor.ts";

/**
 * The largest of each row and where it stands, the first of equals; a NaN is larger than all (torch.max over the last
 * axis). No gradient.  x [N,D] → [index i32 [N], value [N]]
 */
export const argmax = ({ engine, slot }: Tensor): [index: Tensor, value: Tensor] => {
  const [index, value] = engine.backend.argmax(slot);
  return [engine.adopt(index), engine.adopt(value)];
};
