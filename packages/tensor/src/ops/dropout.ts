import { defineOp } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { RngKey, Slot } from "@welltempered/kernels";

/** 0 with probability p, else x/(1−p) (Srivastava et al. 2014). The mask is a function of the key. */
const dropoutOp = defineOp<{ p: number; key: RngKey }>("dropout", {
  shape: ([x = []]) => [x],
  forward: ({ k, save }, [x], { p, key }) => {
    save(x as Slot);
    return [k.dropout(x as Slot, p, key)];
  },
  again: ({ k, saved: [x] }, { p, key }) => k.dropout(x as Slot, p, key),
  backward: ({ k }, [g], { p, key }) => [k.dropout(g as Slot, p, key)],
});

/** Drops elements with probability p; `stream` names the layer (`streamOf(path)`). Returns x itself where p is 0. */
export const dropout = (x: Tensor, p: number, stream: number): Tensor =>
  p === 0 ? x : (dropoutOp([x], { p, key: x.engine.key(stream) })[0] as Tensor);
