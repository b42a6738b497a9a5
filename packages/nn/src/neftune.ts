import { residualAdd, streamOf, type Tensor } from "@welltempered/tensor";
import { longestOf, type PackedRows } from "./rows.ts";

/**
 * NEFTune (Jain et al. 2023): x + u, u uniform in ±α/√(L·D).  x [N,D] → [N,D]
 * L is the length that transformers pads the whole micro-batch to, so that the noise has its size for every row,
 * although there is no padding here. The numbers depend on seed and step alone.
 */
export function neftune(x: Tensor, rows: PackedRows, alpha: number): Tensor {
  const bound = alpha / Math.sqrt((rows.paddedLength ?? longestOf(rows)) * (x.shape[1] ?? 1));
  return residualAdd(x, x.engine.uniform(x.shape, -bound, bound, streamOf("neftune")));
}
