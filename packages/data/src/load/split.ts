import { DataError } from "../errors.ts";
import { Pcg64 } from "../random/pcg64.ts";

export interface Split<T> {
  train: T[];
  validation: T[];
}

function validationSize(valSize: number, numRows: number): number {
  const size = valSize > 1 ? Math.trunc(valSize) : Math.ceil(valSize * numRows);
  if (valSize !== 1 && size < numRows) return size;
  throw new DataError(
    "option",
    "val_size",
    `${valSize} leaves nothing to train on (${numRows} rows)`,
    "give a fraction below 1 or a smaller number",
  );
}

/** Sets rows aside for validation, a fraction (below 1) or a number, chosen as `datasets.train_test_split(seed)` chooses them. */
export function splitDataset<T>(rows: readonly T[], valSize: number, seed: number): Split<T> {
  if (valSize <= 1e-6) return { train: [...rows], validation: [] };
  const numValidation = validationSize(valSize, rows.length);
  const order = [...new Pcg64([seed]).permutation(rows.length)].flatMap((index) => rows[index] ?? []);
  return { train: order.slice(numValidation), validation: order.slice(0, numValidation) };
}
