// Block-diagonal matrices: B square blocks side by side in one matrix [b, B·b], which multiply rows [N, B·b].

import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Shape, Slot } from "@welltempered/kernels";

const triangle = (size: number): number => (size * (size - 1)) / 2;
const isBlocks = ([size = 0, width = 1, ...rest]: Shape): boolean =>
  rest.length === 0 && size > 0 && width % size === 0;

/** Q = A − Aᵀ of each matrix of a, which is whole or an upper triangle.  a [B,b²] or [B,b(b−1)/2] → [b,B·b].  da = g − gᵀ */
const skewBlocksOp = defineOp<{ size: number; packed: boolean }>("skewBlocks", {
  shape: ([a = []], { size, packed }) => {
    const numbers = packed ? triangle(size) : size * size;
    expectShape(a.length === 2 && a[1] === numbers, "skewBlocks", `a [B, ${numbers}]`, a);
    return [[size, (a[0] ?? 0) * size]];
  },
  forward: ({ k }, [a], { size }) => [k.skewBlocks(a as Slot, size)],
  backward: ({ k }, [g], { packed }) => [k.skewBlocksBackward(g as Slot, packed)],
});

/** Y = R − I of each block, R = (I − Q)(I + Q)⁻¹.  dQ = −½(I + R)ᵀ·g·(I + R)ᵀ, I + R = 2I + Y */
const cayleyBlocksOp = defineOp<Record<never, never>>("cayleyBlocks", {
  shape: ([q = []]) => {
    expectShape(isBlocks(q), "cayleyBlocks", "blocks side by side [b, B·b]", q);
    return [q];
  },
  forward: ({ k, save }, [q]) => {
    const y = k.cayleyBlocks(q as Slot);
    save(y);
    return [y];
  },
  backward: ({ k, saved }, [g]) => {
    const [y, size] = [saved[0] as Slot, k.shape(g as Slot)[0] ?? 1];
    const left = k.matmulBlocks("tn", y, g as Slot, size);
    k.accumulate(left, g as Slot, 2);
    const both = k.matmulBlocks("nt", left, y, size);
    k.accumulate(both, left, 2);
    const dq = k.scale(both, -0.5);
    k.free(left);
    k.free(both);
    return [dq];
  },
});

/** x·R or x·Rᵀ, block by block.  dx = g·Rᵀ or g·R, dR = xᵀ·g or gᵀ·x */
const matmulBlocksOp = defineOp<{ size: number; transposed: boolean }>("matmulBlocks", {
  shape: ([x = [], r = []]) => {
    const fits = x.length === 2 && isBlocks(r) && x[1] === r[1];
    expectShape(fits, "matmulBlocks", "x [N, B·b] and blocks [b, B·b]", x, r);
    return [x];
  },
  forward: ({ k, needs, save }, [x, r], { size, transposed }) => {
    save(...(needs[1] ? [r as Slot, x as Slot] : [r as Slot]));
    return [k.matmulBlocks(transposed ? "nt" : "nn", x as Slot, r as Slot, size)];
  },
  backward: ({ k, needs, saved: [r, x] }, [g], { size, transposed }) => {
    const [left, right] = transposed ? [g, x] : [x, g];
    return [
      needs[0] ? k.matmulBlocks(transposed ? "nn" : "nt", g as Slot, r as Slot, size) : undefined,
      needs[1] ? k.matmulBlocks("tn", left as Slot, right as Slot, size) : undefined,
    ];
  },
});

/** y[·, j] = x[·, order[j]], or the inverse.  dx is the other one of g */
const permuteColumnsOp = defineOp<{ inverse: boolean }>("permuteColumns", {
  shape: ([x = [], order = []]) => {
    expectShape(x.length === 2 && order[0] === x[1], "permuteColumns", "x [N, D] and order [D]", x, order);
    return [x];
  },
  forward: ({ k, save }, [x, order], { inverse }) => {
    save(order as Slot);
    return [k.permuteColumns(x as Slot, order as Slot, inverse)];
  },
  backward: ({ k, saved: [order] }, [g], { inverse }) => [
    k.permuteColumns(g as Slot, order as Slot, !inverse),
    undefined,
  ],
});

/** A − Aᵀ of each matrix A of a, whole [B,b²] or an upper triangle [B,b(b−1)/2] → [b,B·b]. */
export const skewBlocks = (a: Tensor, size: number): Tensor =>
  skewBlocksOp([a], { size, packed: a.shape[1] !== size * size })[0] as Tensor;
/** R − I of the rotations R = (I − Q)(I + Q)⁻¹ of skew-symmetric blocks Q.  [b,B·b] → [b,B·b]. */
export const cayleyBlocks = (q: Tensor): Tensor => cayleyBlocksOp([q], {})[0] as Tensor;
/** x·R, or x·Rᵀ where `transposed`, block by block.  [N,B·b], [b,B·b] → [N,B·b]. */
export const matmulBlocks = (x: Tensor, r: Tensor, { transposed = false }: { transposed?: boolean } = {}): Tensor =>
  matmulBlocksOp([x, r], { size: r.shape[0] ?? 1, transposed })[0] as Tensor;
/** y[·, j] = x[·, order[j]] with a permutation order i32 [D]; the inverse: y[·, order[j]] = x[·, j]. */
export const permuteColumns = (x: Tensor, order: Tensor, { inverse = false }: { inverse?: boolean } = {}): Tensor =>
  permuteColumnsOp([x, order], { inverse })[0] as Tensor;
