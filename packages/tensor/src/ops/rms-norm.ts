import { defineOp, expectShape } from "../define-op.ts";
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
  again: ({ k, saved: [x, w] }, { epsilon }) => {
    const [y, rstd] = k.rmsNorm(x as Slot, w as Slot, epsilon);
    k.free(rstd);
    return y;
  },
  // With w for w + offset: dx = rstd · (g·w − x̂ · mean(g·w·x̂)),  dw = Σ g·x̂
  backward: ({ k, needs, saved: [x, w, rstd] }, [g]) => {
    const [dx, dw] = k.rmsNormBackward(g as Slot, x as Slot, w as Slot, rstd as Slot, needs[1] === true);
    return [dx, dw];
  },
});

/** Root-mean-square normalisation of each row, or of each head of a row, to w + offset.  x [N,H·D], w [D] → [N,H·D]. */
export const rmsNorm = (x: Tensor, w: Tensor, epsilon: number, offset = 0): Tensor =>
  rmsNormOp([x, w], { epsilon, offset })[0] as Tensor;
