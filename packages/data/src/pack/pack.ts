import type { EncodedRow } from "../encode/supervised.ts";
import type { Example } from "../example.ts";
import { greedyKnapsack } from "./knapsack.ts";

/** An encoded row and its number. */
export interface NumberedRow extends EncodedRow {
  row: number;
}

export interface PackOptions {
  /** Most tokens in a pack. */
  capacity: number;
  /** Packed sequences do not see each other. */
  neat: boolean;
}

/** Rows by length; of equal rows the last one is taken first, as LlamaFactory does. */
function byLength(rows: readonly NumberedRow[]): Map<number, NumberedRow[]> {
  const groups = new Map<number, NumberedRow[]>();
  for (const row of rows) {
    const group = groups.get(row.inputIds.length);
    if (group) group.push(row);
    else groups.set(row.inputIds.length, [row]);
  }
  return groups;
}

function joinRows(rows: readonly NumberedRow[], { capacity, neat }: PackOptions): Example {
  const lengths = rows.map((row) => row.inputIds.length);
  const inputIds = Int32Array.from(rows.flatMap((row) => row.inputIds));
  const paddedLength = capacity + 1;
  return {
    inputIds,
    labels: Int32Array.from(rows.flatMap((row) => row.labels)),
    segmentLengths: Int32Array.from(neat ? lengths : [inputIds.length]),
    positions: Int32Array.from(lengths.flatMap((length) => Array.from({ length }, (_, i) => i))),
    tokenCount: neat ? inputIds.length : paddedLength,
    paddedLength,
    row: rows[0]?.row ?? 0,
  };
}

/** Packs one batch of rows into as few examples as the greedy rule gives; no row may be longer than the capacity. */
export function packRows(rows: readonly NumberedRow[], options: PackOptions): Example[] {
  const groups = byLength(rows);
  const lengths = rows.map((row) => row.inputIds.length);
  return greedyKnapsack(lengths, options.capacity).map((knapsack) => {
    const packed = knapsack.flatMap((length) => groups.get(length)?.pop() ?? []);
    return joinRows(packed, options);
  });
}
