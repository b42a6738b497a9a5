import { convertRow } from "../convert/convert.ts";
import { DataError, quote } from "../errors.ts";
import type { AlignedRow } from "../messages.ts";
import { Pcg64 } from "../random/pcg64.ts";
import { type BadRowHandler, isBadRow, rowsOf, type SourceRow } from "../read/rows.ts";
import type { DataFolder } from "../read/folder.ts";
import type { DatasetEntry } from "../registry/attributes.ts";

export interface ReadDatasetOptions {
  /** Each row must hold an answer. */
  needsResponse: boolean;
  /** Most rows taken. */
  maxSamples: number | undefined;
  seed: number;
  /** Takes bad rows instead of letting them end the run. */
  onBadRow: BadRowHandler | undefined;
}

/** A bad row keeps its place, without turns, so that splits and packs around it stay those of LlamaFactory. */
function convertOrKeepPlace(source: SourceRow, entry: DatasetEntry, options: ReadDatasetOptions): AlignedRow {
  try {
    return convertRow(source, entry, options.needsResponse);
  } catch (error) {
    if (!options.onBadRow || !isBadRow(error)) throw error;
    options.onBadRow(error);
    return { prompt: [], response: [], system: "", tools: "", place: source.place };
  }
}

function readAll(folder: DataFolder, entry: DatasetEntry, limit: number, options: ReadDatasetOptions): AlignedRow[] {
  const rows: AlignedRow[] = [];
  for (const file of entry.files) {
    for (const source of rowsOf(folder.chunks(file), file, options.onBadRow)) {
      if (rows.length >= limit) return rows;
      rows.push(convertOrKeepPlace(source, entry, options));
    }
  }
  return rows;
}

/** `count` rows at random, each at most once as long as there are enough. */
function sample(rows: readonly AlignedRow[], count: number, seed: number): AlignedRow[] {
  const random = new Pcg64([seed, rows.length, count]);
  const order = [...random.permutation(rows.length).subarray(0, count)];
  while (order.length < count) order.push(random.integer(rows.length - 1));
  return order.flatMap((index) => rows[index] ?? []);
}

/** The rows of one dataset as messages: `num_samples` drawn, then the first `max_samples`; throws if there are none. */
export function readDataset(folder: DataFolder, entry: DatasetEntry, options: ReadDatasetOptions): AlignedRow[] {
  const { response } = entry.columns;
  if (options.needsResponse && entry.formatting === "alpaca" && !entry.ranking && response === undefined) {
    throw new DataError(
      "registry",
      quote(entry.name),
      "has no response column",
      "list it under columns, or use stage pt",
    );
  }
  const limit = options.maxSamples ?? Infinity;
  const rows = readAll(folder, entry, entry.numSamples === undefined ? limit : Infinity, options);
  if (rows.every((row) => row.prompt.length === 0)) {
    throw new DataError(
      "empty",
      entry.files[0] ?? entry.name,
      "holds no usable rows",
      "give a file with at least one row",
    );
  }
  return entry.numSamples === undefined ? rows : sample(rows, entry.numSamples, options.seed).slice(0, limit);
}
