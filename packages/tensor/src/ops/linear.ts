import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Shape, Slot } from "@welltempered/kernels";

function linearShape(op: string, [x = [], w = []]: readonly Shape[]): Shape {
  expectShape(x.length === 2 && w.length === 2 && x[1] === w[1], op, "x [N, in] and w [out, in]", x, w);
  return [x[0] ?? 0, w[0] ?? 0];
}

/** y = x·wᵀ.  x [N,in], w [out,in] in any float dtype or codec → [N,out].  dx = g·w, dw = gᵀ·x */
const linearOp = defineOp<Record<never, never>>("linear", {
  shape: (shapes) => [linearShape("linear", shapes)],
  forward: ({ k, needs, save }, [x, w]) => {
    save(...(needs[1] ? [w as Slot, x as Slot] : [w as Slot]));
    return [k.matmul("nt", x as Slot, w as Slot, 1)];
  },
  backward: ({ k, needs, saved: [w, x], into }, [g]) => [
    needs[0] ? k.matmul("nn", g as Slot, w as Slot, 1, into(0)) : undefined,
    needs[1] ? k.matmul("tn", g as Slot, x as Slot, 1, into(1)) : undefined,
  ],
});

/**
 * y = base + factor · x·wᵀ in the memory of base, which is consumed: how a low-rank product joins the big one.
 * dbase = g, dx = factor · g·w, dw = factor · gᵀ·x
 */
const linearAddOp = defineOp<{ factor: number }>("linearAdd", {
  shape: ([base = [], x = [], w = []]) => {
    const out = linearShape("linearAdd", [x, w]);
    expectShape(
      base.length === 2 && base[0] === out[0] && base[1] === out[1],
      "linearAdd",
      `a base of [${out.join(", ")}]`,
      base,
    );
    return [out];
  },
  forward: ({ k, needs, save, take }, [, x, w], { factor }) => {
    save(...(needs[2] ? [w as Slot, x as Slot] : [w as Slot]));
    return [k.matmul("nt", x as Slot, w as Slot, factor, take(0))];
  },
  backward: ({ k, needs, saved: [w, x], into }, [g], { factor }) => [
    needs[0] ? g : undefined,
    needs[1] ? k.matmul("nn", g as Slot, w as Slot, factor, into(1)) : undefined,
    needs[2] ? k.matmul("tn", g as Slot, x as Slot, factor, into(2)) : undefined,
  ],
});

/**
 * y = x·wᵀ + factor · (x·aᵀ)·bᵀ: LoRA (Hu et al. 2021) as one op, whose change joins the big product while that is made.
 * x [N,in], w [out,in], a [r,in], b [out,r] → [N,out].
 * u = factor · g·b, dx = g·w + u·a, dw = gᵀ·x, da = uᵀ·x, db = factor · gᵀ·(x·aᵀ)
 */
const lowRankLinearOp = defineOp<{ factor: number }>("lowRankLinear", {
  shape: ([x = [], w = [], a = [], b = []]) => {
    const out = linearShape("lowRankLinear", [x, w]);
    const fits = a.length === 2 && b.length === 2 && a[1] === x[1] && b[0] === out[1] && b[1] === a[0];
    expectShape(fits, "lowRankLinear", `a [r, ${x[1]}] and b [${out[1]}, r]`, a, b);
    return [out];
  },
  forward: ({ k, needs, save }, [x, w, a, b], { factor }) => {
    const [left, narrow] = [x as Slot, k.matmul("nt", x as Slot, a as Slot, 1)];
    save(w as Slot, a as Slot, b as Slot, narrow, ...(needs[1] || needs[2] ? [left] : []));
    return [k.matmulLowRank("nt", left, w as Slot, narrow, b as Slot, factor)];
  },
  backward: ({ k, needs, saved: [w, a, b, narrow, x], into }, [g], { factor }) => {
    const u = k.matmul("nn", g as Slot, b as Slot, factor);
    const grads = [
      needs[0] ? k.matmulLowRank("nn", g as Slot, w as Slot, u, a as Slot, 1, into(0)) : undefined,
      needs[1] ? k.matmul("tn", g as Slot, x as Slot, 1, into(1)) : undefined,
      needs[2] ? k.matmul("tn", u, x as Slot, 1, into(2)) : undefined,
      needs[3] ? k.matmul("tn", g as Slot, narrow as Slot, factor, into(3)) : undefined,
    ];
    k.free(u);
    return grads;
  },
});

/** a·b.  a [M,K], b [K,N] → [M,N].  da = g·bᵀ, db = aᵀ·g */
const matmulOp = defineOp<Record<never, never>>("matmul", {
  shape: ([a = [], b = []]) => {
    expectShape(a.length === 2 && b.length === 2 && a[1] === b[0], "matmul", "a [M, K] and b [K, N]", a, b);
    return [[a[0] ?? 0, b[1] ?? 0]];
  },
  forward: ({ k, save }, [a, b]) => {
    save(a as Slot, b as Slot);
    return [k.matmul("nn", a as Slot, b as Slot, 1)];
  },
  backward: ({ k, needs, saved: [a, b], into }, [g]) => [
    needs[0] ? k.matmul("nt", g as Slot, b as Slot, 1, into(0)) : undefined,
    needs[1] ? k.matmul("tn", a as Slot, g as Slot, 1, into(1)) : undefined,
  ],
});

/** x·wᵀ.  x [N,in], w [out,in] → [N,out]. */
export const linear = (x: Tensor, w: Tensor): Tensor => linearOp([x, w], {})[0] as Tensor;
/** base + factor · x·wᵀ; base [N,out] is consumed, its memory holds the result. */
export const linearAdd = (base: Tensor, x: Tensor, w: Tensor, factor = 1): Tensor =>
  linearAddOp([base, x, w], { factor })[0] as Tensor;
/** x·wᵀ + factor · (x·aᵀ)·bᵀ.  x [N,in], w [out,in], a [r,in], b [out,r] → [N,out]. */
export const lowRankLinear = (x: Tensor, w: Tensor, a: Tensor, b: Tensor, factor = 1): Tensor =>
  lowRankLinearOp([x, w, a, b], { factor })[0] as Tensor;
/** a·b.  [M,K]·[K,N] → [M,N]. */
export const matmul = (a: Tensor, b: Tensor): Tensor => matmulOp([a, b], {})[0] as Tensor;
