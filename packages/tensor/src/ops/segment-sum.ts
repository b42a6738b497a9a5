import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { KernelBackend, Slot } from "@welltempered/kernels";

const upload = (k: KernelBackend, values: Int32Array): Slot =>
  k.upload("i32", [values.length], new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

/** Row numbers start … start + length − 1. */
const rowsFrom = (start: number, length: number): Int32Array => Int32Array.from({ length }, (_, row) => start + row);

/** y[s] = Σ of x over segment s.  x [N], lengths that add up to N → [S].  dx[i] = g[segment of i] */
const segmentSumOp = defineOp<{ lengths: readonly number[] }>("segmentSum", {
  shape: ([x = []], { lengths }) => {
    const total = lengths.reduce((sum, length) => sum + length, 0);
    expectShape(x.length === 1 && x[0] === total, "segmentSum", `x [${total}], as long as its segments`, x);
    return [[lengths.length]];
  },
  // `sum` adds in f64: a log-probability of a long answer keeps its digits.
  forward: ({ k }, [x], { lengths }) => {
    const column = k.reshape(x as Slot, [k.shape(x as Slot)[0] ?? 0, 1]);
    const sums = k.alloc(k.dtype(x as Slot), [lengths.length, 1]);
    let start = 0;
    for (const [segment, length] of lengths.entries()) {
      const rows = upload(k, rowsFrom(start, length));
      const part = k.takeRows(column, rows);
      const sum = k.sum(part);
      const [at, row] = [upload(k, Int32Array.of(segment)), k.reshape(sum, [1, 1])];
      k.writeRows(sums, at, row);
      for (const slot of [rows, part, sum, at, row]) k.free(slot);
      start += length;
    }
    const result = k.reshape(sums, [lengths.length]);
    k.free(sums);
    k.free(column);
    return [result];
  },
  backward: ({ k }, [g], { lengths }) => {
    const ids = lengths.flatMap((length, segment) => Array.from({ length }, () => segment));
    const [column, rows] = [k.reshape(g as Slot, [lengths.length, 1]), upload(k, Int32Array.from(ids))];
    const spread = k.takeRows(column, rows);
    const dx = k.reshape(spread, [ids.length]);
    for (const slot of [column, rows, spread]) k.free(slot);
    return [dx];
  },
});

/** Sums of consecutive stretches of x [N], as the log-probabilities of sequences from those of their tokens, → [S]. */
export const segmentSum = (x: Tensor, lengths: readonly number[]): Tensor =>
  segmentSumOp([x], { lengths })[0] as Tensor;
