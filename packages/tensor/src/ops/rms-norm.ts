import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

/** RMSNorm (Zhang & Sennrich 2019): y = x · rstd · w, rstd = 1/√(mean(x²)+ε).  x [N,D], w [D] → [N,D] */
const rmsNormOp = defineOp<{ epsilon: number }>("rmsNorm", {
  shape: ([x = [], w = []]) => {
    expectShape(x.length === 2 && w.length === 1 && x[1] === w[0], "rmsNorm", "x [N, D] and w [D]", x, w);
    return [x];
  },
  forward: ({ k, save }, [x, w], { epsilon }) => {
    const [y, rstd] = k.rmsNorm(x as Slot, w as Slot, epsilon);
    save(x as Slot, w as Slot, rstd);
    return [y];
  },
  // dx = rstd · (g·w − x̂ · mean(g·w·x̂)),  dw = Σ g·x̂
  backward: ({ k, needs, saved: [x, w, rstd] }, [g]) => {
    const [dx, dw] = k.rmsNormBackward(g as Slot, x as Slot, w as Slot, rstd as Slot, needs[1] === true);
    return [dx, dw];
  },
});

/** Root-mean-square normalisation of each row.  x [N,D], w [D] → [N,D]. */
export const rmsNorm = (x: Tensor, w: Tensor, epsilon: number): Tensor => rmsNormOp([x, w], { epsilon })[0] as Tensor;
