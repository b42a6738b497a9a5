// Functions of one number, each with its derivative in terms of others.

import { defineOp, type Op } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { KernelBackend, Slot, UnaryKind } from "@welltempered/kernels";

/** f'(x), in memory of its own, from x and y = f(x). */
type Derivative = (k: KernelBackend, x: Slot, y: Slot) => Slot;

function unaryOp(kind: UnaryKind, derivative: Derivative): Op<Record<never, never>> {
  return defineOp(kind, {
    shape: ([x = []]) => [x],
    forward: ({ k, save }, [x]) => {
      const y = k.unary(kind, x as Slot);
      save(x as Slot, y);
      return [y];
    },
    backward: ({ k, saved: [x, y] }, [g]) => {
      const slope = derivative(k, x as Slot, y as Slot);
      const dx = k.binary("mul", g as Slot, slope);
      k.free(slope);
      return [dx];
    },
  });
}

/** f(slot), which is freed. */
function consumed(k: KernelBackend, slot: Slot, f: (slot: Slot) => Slot): Slot {
  const result = f(slot);
  k.free(slot);
  return result;
}

const expOp = unaryOp("exp", (k, _x, y) => k.copy(y));

/** σ(−x) = e^(log σ(−x)) */
const logSigmoidOp = unaryOp("logSigmoid", (k, x) => {
  const log = consumed(k, k.scale(x, -1), (negative) => k.unary("logSigmoid", negative));
  return consumed(k, log, (value) => k.unary("exp", value));
});

/** −eˣ/(1 − eˣ) = −e^(x − y) */
const logOneMinusExpOp = unaryOp("logOneMinusExp", (k, x, y) => {
  const ratio = consumed(k, k.binary("sub", x, y), (log) => k.unary("exp", log));
  return consumed(k, ratio, (value) => k.scale(value, -1));
});

const only = ([result]: Tensor[]): Tensor => result as Tensor;

/** eˣ, elementwise. */
export const exp = (x: Tensor): Tensor => only(expOp([x], {}));
/** log σ(x) = −log(1 + e⁻ˣ), elementwise; finite for every finite x. */
export const logSigmoid = (x: Tensor): Tensor => only(logSigmoidOp([x], {}));
/** log(1 − eˣ) for x < 0, elementwise: the log-probability of everything else. */
export const logOneMinusExp = (x: Tensor): Tensor => only(logOneMinusExpOp([x], {}));
