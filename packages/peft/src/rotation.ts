// Rotations of a projection's input, each held as R − I in blocks side by side [b, B·b]: near the start R − I is small,
// and adding it to the input loses no digits. W is never touched but to merge, so its codec does not matter.

import { add, matmulBlocks, permuteColumns, residualAdd, scale, type Tensor } from "@welltempered/tensor";

export interface RotateOptions {
  /** The place among the blocks that each channel takes; undefined where they lie so. */
  order?: Int32Array;
  /** By Rᵀ: the inverse. */
  transposed?: boolean;
}

/** x·R of rows x, or x·Rᵀ.  x [N,in] → [N,in] in fresh memory */
export function rotate(x: Tensor, delta: Tensor, { order, transposed = false }: RotateOptions = {}): Tensor {
  if (order === undefined) return residualAdd(x, matmulBlocks(x, delta, { transposed }));
  const places = x.engine.tensor(order);
  const change = matmulBlocks(permuteColumns(x, places, { inverse: true }), delta, { transposed });
  return residualAdd(x, permuteColumns(change, places));
}

/**
 * A few terms of the series of (I + Q)(I − Q)⁻¹, the exact transform of −Q, less I. As peft 0.21 sums n of them:
 * 2(Q + Q² + … + Qⁿ⁻²) + Qⁿ⁻¹; 2Q of two, and of three the same as of four.
 */
export function neumann(q: Tensor, terms: number): Tensor {
  if (terms === 2) return scale(q, 2);
  let power = matmulBlocks(q, q);
  let sum = scale(add(q, power), 2);
  for (let n = 3; n < terms - 1; n++) {
    power = matmulBlocks(power, q);
    sum = add(sum, scale(power, 2));
  }
  return add(sum, matmulBlocks(power, q));
}
