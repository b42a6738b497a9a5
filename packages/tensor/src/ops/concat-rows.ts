import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { KernelBackend, Slot } from "@welltempered/kernels";

/** i32 first, first + 1, … */
function numbers(k: KernelBackend, first: number, count: number): Slot {
  const ids = Int32Array.from({ length: count }, (_, index) => first + index);
  return k.upload("i32", [count], new Uint8Array(ids.buffer));
}

/** a above b.  a [M,D], b [N,D] → [M+N,D].  da, db = their rows of g */
const concatRowsOp = defineOp<{ rows: readonly [number, number] }>("concatRows", {
  shape: ([a = [], b = []]) => {
    expectShape(a.length === 2 && b.length === 2 && a[1] === b[1], "concatRows", "a [M, D] and b [N, D]", a, b);
    return [[(a[0] ?? 0) + (b[0] ?? 0), a[1] ?? 0]];
  },
  forward: ({ k, save }, [a, b], { rows: [first, second] }) => {
    const [top, bottom] = [numbers(k, 0, first), numbers(k, first, second)];
    const joined = k.alloc(k.dtype(b as Slot), [first + second, k.shape(b as Slot)[1] ?? 0]);
    k.writeRows(joined, top, a as Slot);
    k.writeRows(joined, bottom, b as Slot);
    save(top, bottom);
    return [joined];
  },
  backward: ({ k, needs, saved: [top, bottom] }, [g]) => [
    needs[0] ? k.takeRows(g as Slot, top as Slot) : undefined,
    needs[1] ? k.takeRows(g as Slot, bottom as Slot) : undefined,
  ],
});

/** The rows of a, then those of b.  [M,D], [N,D] → [M+N,D]. */
export const concatRows = (a: Tensor, b: Tensor): Tensor =>
  concatRowsOp([a, b], { rows: [a.shape[0] ?? 0, b.shape[0] ?? 0] })[0] as Tensor;
