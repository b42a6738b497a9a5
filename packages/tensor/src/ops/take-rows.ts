import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Slot } from "@welltempered/kernels";

/** y[i] = table[ids[i]].  table [V,D], ids i32 [N] → [N,D].  dtable[r] = Σ g[i] over ids[i] = r */
const takeRowsOp = defineOp<{ rows: number }>("takeRows", {
  shape: ([table = [], ids = []]) => {
    expectShape(table.length === 2 && ids.length === 1, "takeRows", "a table [V, D] and ids [N]", table, ids);
    return [[ids[0] ?? 0, table[1] ?? 0]];
  },
  forward: ({ k, save }, [table, ids]) => {
    save(ids as Slot);
    return [k.takeRows(table as Slot, ids as Slot)];
  },
  backward: ({ k, needs, saved: [ids] }, [g], { rows }) => [
    needs[0] ? k.scatterAddRows(g as Slot, ids as Slot, rows) : undefined,
    undefined,
  ],
});

/** Rows of a table by index: an embedding, or the rows of a batch that matter.  [V,D], i32 [N] → [N,D]. */
export const takeRows = (table: Tensor, ids: Tensor): Tensor =>
  takeRowsOp([table, ids], { rows: table.shape[0] ?? 0 })[0] as Tensor;
