import { DataError } from "../errors.ts";
import { isOfPairs, type AlignedRow, type DataStage } from "../messages.ts";
import type { DataFolder } from "../read/folder.ts";
import { datasetsIn } from "../registry/registry.ts";
import { type MixStrategy, mixDatasets } from "./mix.ts";
import { readDataset } from "./read-dataset.ts";
import { splitDataset } from "./split.ts";

/** Which rows a run trains and evaluates on; names are LlamaFactory's, in camelCase. */
export interface RowOptions {
  stage: DataStage;
  dataset: readonly string[];
  evalDataset: readonly string[];
  maxSamples?: number;
  mixStrategy: MixStrategy;
  interleaveProbs?: readonly number[];
  valSize: number;
  evalOnEachDataset: boolean;
  seed: number;
  skipBadRows: boolean;
  /** Evaluation rows are answered, not trained on, so they may lack an answer. */
  predict: boolean;
}

/** Rows that could not be used and were left out by `skipBadRows`. */
export interface BadRows {
  count: number;
  /** The message of the first one. */
  first: string | undefined;
}

/** The rows of a run. Evaluation sets are named "" or, with `evalOnEachDataset`, by their dataset. */
export interface LoadedRows {
  train: AlignedRow[];
  evaluation: Map<string, AlignedRow[]>;
  badRows: BadRows;
}

function checkOptions(options: RowOptions): void {
  const hint = "remove one of them";
  if (options.valSize > 1e-6 && options.evalDataset.length > 0) {
    throw new DataError("option", "val_size", "cannot be combined with eval_dataset", hint);
  }
  if (options.valSize > 1e-6 && options.dataset.length === 0) {
    throw new DataError("option", "val_size", "needs dataset", "name a dataset to take the rows from");
  }
  if (options.interleaveProbs && options.mixStrategy === "concat") {
    throw new DataError("option", "interleave_probs", "cannot be combined with mix_strategy concat", hint);
  }
}

function readNamed(
  folder: DataFolder,
  names: readonly string[],
  options: RowOptions,
  needsResponse: boolean,
  badRows: BadRows,
): Map<string, AlignedRow[]> {
  const onBadRow = (error: Error): void => {
    badRows.count++;
    badRows.first ??= error.message;
  };
  const entries = datasetsIn(folder, names, isOfPairs(options.stage));
  const { seed, maxSamples } = options;
  const settings = {
    needsResponse,
    maxSamples,
    seed,
    onBadRow: options.skipBadRows ? onBadRow : undefined,
  };
  return new Map(entries.map((entry) => [entry.name, readDataset(folder, entry, settings)]));
}

function mix(named: ReadonlyMap<string, AlignedRow[]>, options: RowOptions): AlignedRow[] {
  const { mixStrategy: strategy, interleaveProbs: probabilities, seed } = options;
  return mixDatasets([...named.values()], { strategy, probabilities, seed });
}

/** Reads, mixes and splits the datasets of a run; throws a DataError that names file, line and key. */
export function loadRowsFrom(folder: DataFolder, options: RowOptions): LoadedRows {
  checkOptions(options);
  const badRows: BadRows = { count: 0, first: undefined };
  const isSupervised = options.stage !== "pt";
  const { dataset, evalDataset } = options;
  const all = dataset.length === 0 ? [] : mix(readNamed(folder, dataset, options, isSupervised, badRows), options);
  const { train, validation } = splitDataset(all, options.valSize, options.seed);
  if (evalDataset.length === 0) {
    return { train, evaluation: new Map(validation.length > 0 ? [["", validation]] : []), badRows };
  }
  const named = readNamed(folder, evalDataset, options, isSupervised && !options.predict, badRows);
  return {
    train,
    evaluation: options.evalOnEachDataset ? named : new Map([["", mix(named, options)]]),
    badRows,
  };
}
