import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

export interface AttentionOptions {
  headDim: number;
  /** Usually 1/√headDim. */
  scale: number;
  /** A query sees this many of the newest keys that the layout gives it; 0, the default: all. */
  window?: number;
  /** Scores become cap · tanh(score/cap); 0, the default: they stay. */
  softCap?: number;
}

/**
 * o = softmax(cap(scale · q·kᵀ))·v over the keys that `layout` gives each query, heads grouped (Ainslie et al. 2023),
 * tile by tile without a T×T buffer (Dao 2022).  q [N,Hq·d], k v [M,Hk·d], layout i32 → [N,Hq·d]
 */
const attentionOp = defineOp<Required<AttentionOptions>>("attention", {
  shape: ([q = [], k = [], v = []], { headDim }) => {
    const [heads, groups] = [(q[1] ?? 0) / headDim, (k[1] ?? 0) / headDim];
    const ok = k[0] === v[0] && k[1] === v[1] && Number.isInteger(heads) && Number.isInteger(heads / groups);
    expectShape(ok, "attention", `q [N, Hq·${headDim}] and k, v [M, Hk·${headDim}] with Hq a multiple of Hk`, q, k, v);
    return [q];
  },
  forward: ({ k: kernels, save }, [q, k, v, layout], options) => {
    const [o, lse] = kernels.attention(q as Slot, k as Slot, v as Slot, layout as Slot, options);
    save(q as Slot, k as Slot, v as Slot, layout as Slot, o, lse);
    return [o];
  },
  readsNarrow: true,
  // p = exp(s − lse);  dv = pᵀ·g,  ds = p ⊙ (g·vᵀ − rowsum(g ⊙ o)) ⊙ cap'(s),  dq = scale · ds·k,  dk = scale · dsᵀ·q
  backward: ({ k: kernels, saved: [q, k, v, layout, o, lse] }, [g], options) => [
    ...kernels.attentionBackward(
      g as Slot,
      q as Slot,
      k as Slot,
      v as Slot,
      o as Slot,
      lse as Slot,
      layout as Slot,
      options,
    ),
    undefined,
  ],
});

/** Grouped-query attention over packed rows; `layout` as `AttentionLayout` in @welltempered/kernels. */
export const attention = (q: Tensor, k: Tensor, v: Tensor, layout: Tensor, options: AttentionOptions): Tensor =>
  attentionOp([q, k, v, layout], { window: 0, softCap: 0, ...options })[0] as Tensor;
