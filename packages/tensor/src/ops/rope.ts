import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

interface RopeAttributes {
  headDim: number;
}

/**
 * Rotary position embedding (Su et al. 2021), halves paired as in Llama: (a, b) → (a·cos − b·sin, b·cos + a·sin)
 * for channels (i, i+P) of each head.  x [N,H·headDim], cos sin [N,P] → [N,H·headDim].  dx = the inverse rotation of g
 */
const ropeOp = defineOp<RopeAttributes>("rope", {
  shape: ([x = [], cos = [], sin = []], { headDim }) => {
    expectShape(
      x.length === 2 && (x[1] ?? 0) % headDim === 0 && cos[0] === x[0],
      "rope",
      `x [N, H·${headDim}] and cos, sin [N, P]`,
      x,
      cos,
      sin,
    );
    return [x];
  },
  forward: ({ k, save }, [x, cos, sin], { headDim }) => {
    save(cos as Slot, sin as Slot);
    return [k.rope(x as Slot, cos as Slot, sin as Slot, headDim, false)];
  },
  backward: ({ k, saved: [cos, sin] }, [g], { headDim }) => [
    k.rope(g as Slot, cos as Slot, sin as Slot, headDim, true),
    undefined,
    undefined,
  ],
});

/** cos and sin of each row's angles, made once a batch. */
export interface RopeTable {
  cos: Tensor;
  sin: Tensor;
}

/** positions i32 [N] × frequencies [P] → cos, sin [N,P], both times `factor` (1 but for LongRoPE). Angles are computed in f64. */
export function ropeTable(positions: Tensor, frequencies: Float64Array, factor = 1): RopeTable {
  const { engine } = positions;
  const [cos, sin] = engine.backend.ropeTable(positions.slot, frequencies, factor);
  return { cos: engine.adopt(cos), sin: engine.adopt(sin) };
}

/** Rotates the heads of x [N,H·headDim] by their rows' angles. */
export const rope = (x: Tensor, { cos, sin }: RopeTable, headDim: number): Tensor =>
  ropeOp([x, cos, sin], { headDim })[0] as Tensor;
