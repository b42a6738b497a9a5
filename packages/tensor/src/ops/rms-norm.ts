import { defineOp, expectShape, type BackwardContext } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { KernelBackend, Slot } from "@welltempered/kernels";

interface Norm {
  epsilon: number;
  offset: number;
}

function shifted(k: KernelBackend, w: Slot, offset: number): Slot {
  const constant = k.alloc(k.dtype(w), k.shape(w));
  k.fill(constant, offset);
  const sum = k.binary("add", w, constant);
  k.free(constant);
  return sum;
}

/** y once more from what both ops save first: the norm's input and w + offset. */
function again({ k, saved: [x, w] }: Pick<BackwardContext, "k" | "saved">, { epsilon }: Norm): Slot {
  const [y, rstd] = k.rmsNorm(x as Slot, w as Slot, epsilon);
  k.free(rstd);
  return y;
}

/** RMSNorm (Zhang & Sennrich 2019): y = x · rstd · (w + offset), rstd = 1/√(mean(x²)+ε) of each D columns.  x [N,H·D], w [D] → [N,H·D] */
const rmsNormOp = defineOp<Norm>("rmsNorm", {
  shape: ([x = [], w = []]) => {
    const ok = x.length === 2 && w.length === 1 && (x[1] ?? 0) % (w[0] ?? 0) === 0;
    expectShape(ok, "rmsNorm", "x [N, H·D] and w [D]", x, w);
    return [x];
  },
  forward: ({ k, save }, [x, w], { epsilon, offset }) => {
    const factor = offset === 0 ? (w as Slot) : shifted(k, w as Slot, offset);
    const [y, rstd] = k.rmsNorm(x as Slot, factor, epsilon);
    save(x as Slot, factor, rstd);
    return [y];
  },
  readsNarrow: true,
  again,
  // With w for w + offset: dx = rstd · (g·w − x̂ · mean(g·w·x̂)),  dw = Σ g·x̂
  backward: ({ k, needs, saved: [x, w, rstd] }, [g]) => {
    const [dx, dw] = k.rmsNormBackward(g as Slot, x as Slot, w as Slot, rstd as Slot, needs[1] === true);
    return [dx, dw];
  },
});

/** s = x + delta in the memory of delta, which is consumed; y = rmsNorm(s).  x, delta [N,H·D], w [D] → s, y [N,H·D] */
const addRmsNormOp = defineOp<Norm>("addRmsNorm", {
  shape: ([x = [], delta = [], w = []]) => {
    const ok = x.length === 2 && w.length === 1 && (x[1] ?? 0) % (w[0] ?? 0) === 0;
    const same = delta.length === 2 && delta[0] === x[0] && delta[1] === x[1];
    expectShape(ok && same, "addRmsNorm", "x and delta [N, H·D] and w [D]", x, delta, w);
    return [x, x];
  },
  forward: ({ k, save, take }, [x, , w], { epsilon, offset }) => {
    const sum = take(1);
    const factor = offset === 0 ? (w as Slot) : shifted(k, w as Slot, offset);
    const [y, rstd] = k.addRmsNorm(sum, x as Slot, factor, epsilon);
    save(sum, factor, rstd);
    return [sum, y];
  },
  readsNarrow: true,
  again,
  // dx = ddelta = g_s + what rmsNorm makes of g_y, in the memory of g_s; dw as there
  backward: ({ k, needs, saved, take }, [gSum, g]) => {
    const [sum, w, rstd] = saved as [Slot, Slot, Slot];
    if (g === undefined) return [gSum, needs[1] ? gSum : undefined, undefined];
    if (gSum === undefined) {
      const [ds, dw] = k.rmsNormBackward(g, sum, w, rstd, needs[2] === true);
      return [ds, needs[1] ? ds : undefined, dw];
    }
    const ds = take(0);
    const [dw] = k.addRmsNormBackward(ds, g, sum, w, rstd, needs[2] === true);
    return [ds, needs[1] ? ds : undefined, dw];
  },
});

/** Root-mean-square normalisation of each row, or of each head of a row, to w + offset.  x [N,H·D], w [D] → [N,H·D]. */
export const rmsNorm = (x: Tensor, w: Tensor, epsilon: number, offset = 0): Tensor =>
  rmsNormOp([x, w], { epsilon, offset })[0] as Tensor;

/** x + delta and rmsNorm of it, in one pass; delta is consumed, its memory holds the sum.  x, delta [N,H·D], w [D]. */
export const addRmsNorm = (
  x: Tensor,
  delta: Tensor,
  w: Tensor,
  epsilon: number,
  offset = 0,
): [sum: Tensor, normed: Tensor] => addRmsNormOp([x, delta, w], { epsilon, offset }) as [Tensor, Tensor];
