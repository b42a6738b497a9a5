import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Shape, Slot } from "@welltempered/kernels";

const same = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((extent, axis) => extent === b[axis]);
const isRow = (a: Shape, b: Shape): boolean => b.length === 1 && b[0] === a.at(-1);

function sumShape(op: string, [a = [], b = []]: readonly Shape[]): readonly Shape[] {
  expectShape(same(a, b) || isRow(a, b), op, "equal shapes, or a row [D] to broadcast over [N, D]", a, b);
  return [a];
}

interface Broadcast {
  broadcast: boolean;
}

/** a + b; b may be a row [D].  da = g, db = g (summed over rows where b is a row) */
const addOp = defineOp<Broadcast>("add", {
  shape: (inputs) => sumShape("add", inputs),
  forward: ({ k }, [a, b]) => [k.binary("add", a as Slot, b as Slot)],
  backward: ({ k, needs }, [g], { broadcast }) => [
    needs[0] ? g : undefined,
    needs[1] ? (broadcast ? k.sumRows(g as Slot) : g) : undefined,
  ],
});

/** x + delta in the memory of delta, which is consumed: the residual connection.  dx = ddelta = g */
const residualOp = defineOp<Record<never, never>>("residualAdd", {
  shape: ([x = [], delta = []]) => {
    expectShape(same(x, delta), "residualAdd", "equal shapes", x, delta);
    return [x];
  },
  forward: ({ k, take }, [x]) => {
    const sum = take(1);
    k.accumulate(sum, x as Slot, 1);
    return [sum];
  },
  backward: ({ needs }, [g]) => [needs[0] ? g : undefined, needs[1] ? g : undefined],
});

/** a − b; b may be a row [D].  da = g, db = −g */
const subOp = defineOp<Broadcast>("sub", {
  shape: (inputs) => sumShape("sub", inputs),
  forward: ({ k }, [a, b]) => [k.binary("sub", a as Slot, b as Slot)],
  backward: ({ k, needs }, [g], { broadcast }) => {
    if (!needs[1]) return [g, undefined];
    const negative = k.scale(g as Slot, -1);
    if (!broadcast) return [needs[0] ? g : undefined, negative];
    const row = k.sumRows(negative);
    k.free(negative);
    return [needs[0] ? g : undefined, row];
  },
});

/** a ⊙ b; b may be a row [D].  da = g ⊙ b, db = g ⊙ a (summed over rows where b is a row) */
const mulOp = defineOp<Broadcast>("mul", {
  shape: (inputs) => sumShape("mul", inputs),
  forward: ({ k, save }, [a, b]) => {
    save(a as Slot, b as Slot);
    return [k.binary("mul", a as Slot, b as Slot)];
  },
  backward: ({ k, needs, saved: [a, b] }, [g], { broadcast }) => {
    const da = needs[0] ? k.binary("mul", g as Slot, b as Slot) : undefined;
    if (!needs[1]) return [da, undefined];
    const full = k.binary("mul", g as Slot, a as Slot);
    if (!broadcast) return [da, full];
    const db = k.sumRows(full);
    k.free(full);
    return [da, db];
  },
});

/** factor · x for a plain number.  dx = factor · g */
const scaleOp = defineOp<{ factor: number }>("scale", {
  shape: ([x = []]) => [x],
  forward: ({ k }, [x], { factor }) => [k.scale(x as Slot, factor)],
  backward: ({ k }, [g], { factor }) => [k.scale(g as Slot, factor)],
});

/** x + constant for a plain number.  dx = g */
const addConstantOp = defineOp<{ constant: number }>("addConstant", {
  shape: ([x = []]) => [x],
  forward: ({ k }, [x], { constant }) => {
    const constants = k.alloc(k.dtype(x as Slot), k.shape(x as Slot));
    k.fill(constants, constant);
    const sum = k.binary("add", x as Slot, constants);
    k.free(constants);
    return [sum];
  },
  backward: (_, [g]) => [g],
});

/** s · x for a tensor s [1].  dx = s · g, ds = Σ g ⊙ x */
const scaleByOp = defineOp<Record<never, never>>("scaleBy", {
  shape: ([x = [], s = []]) => {
    expectShape(s.length === 1 && s[0] === 1, "scaleBy", "a factor of shape [1]", s);
    return [x];
  },
  forward: ({ k, save }, [x, s]) => {
    save(x as Slot, s as Slot);
    return [k.scaleBy(x as Slot, s as Slot)];
  },
  backward: ({ k, needs, saved: [x, s] }, [g]) => {
    const dx = needs[0] ? k.scaleBy(g as Slot, s as Slot) : undefined;
    if (!needs[1]) return [dx, undefined];
    const product = k.binary("mul", g as Slot, x as Slot);
    const ds = k.sum(product);
    k.free(product);
    return [dx, ds];
  },
});

/** Σ x → [1].  dx = g broadcast */
const sumOp = defineOp<{ shape: Shape }>("sum", {
  shape: () => [[1]],
  forward: ({ k }, [x]) => [k.sum(x as Slot)],
  backward: ({ k }, [g], { shape }) => {
    const ones = k.alloc(k.dtype(g as Slot), shape);
    k.fill(ones, 1);
    const dx = k.scaleBy(ones, g as Slot);
    k.free(ones);
    return [dx];
  },
});

const broadcasts = (a: Tensor, b: Tensor): Broadcast => ({ broadcast: !same(a.shape, b.shape) });
const only = ([result]: Tensor[]): Tensor => result as Tensor;

/** a + b, elementwise; b may be a row [D] over a [N, D]. */
export const add = (a: Tensor, b: Tensor): Tensor => only(addOp([a, b], broadcasts(a, b)));
/** a − b, elementwise; b may be a row. */
export const sub = (a: Tensor, b: Tensor): Tensor => only(subOp([a, b], broadcasts(a, b)));
/** a ⊙ b, elementwise; b may be a row. */
export const mul = (a: Tensor, b: Tensor): Tensor => only(mulOp([a, b], broadcasts(a, b)));
/** x + delta; delta is consumed, its memory holds the result. */
export const residualAdd = (x: Tensor, delta: Tensor): Tensor => only(residualOp([x, delta], {}));
/** factor · x. */
export const scale = (x: Tensor, factor: number): Tensor => only(scaleOp([x], { factor }));
/** x + constant. */
export const addConstant = (x: Tensor, constant: number): Tensor => only(addConstantOp([x], { constant }));
/** s[0] · x for a tensor s [1]. */
export const scaleBy = (x: Tensor, s: Tensor): Tensor => only(scaleByOp([x, s], {}));
/** Σ x → [1]. */
export const sum = (x: Tensor): Tensor => only(sumOp([x], { shape: x.shape }));
/** The mean of all elements → [1]. */
export const mean = (x: Tensor): Tensor => scale(sum(x), 1 / x.size);
