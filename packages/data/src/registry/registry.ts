import { existsSync } from "node:fs";
import { join } from "node:path";

import { DataError, quote } from "../errors.ts";
import type { DatasetEntry } from "./attributes.ts";
import { inferEntry } from "./infer-entry.ts";
import { findEntry, type InfoFile, readInfoFile } from "./info-file.ts";
import { parseEntry } from "./parse-entry.ts";

function isPath(name: string): boolean {
  return /\.jsonl?$/i.test(name) && !name.includes("\0");
}

function directPath(name: string, datasetDir: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) {
    throw new DataError("option", "dataset", `${quote(name)} is a URL; nothing is downloaded`, "give a local file");
  }
  const beside = join(datasetDir, name);
  return !existsSync(name) && existsSync(beside) ? beside : name;
}

function unknown(name: string, datasetDir: string, info: InfoFile | undefined): DataError {
  if (!info) {
    const hint = `write one, or name a .json or .jsonl file instead of ${quote(name)}`;
    return new DataError("registry", join(datasetDir, "dataset_info.json"), "no such file", hint);
  }
  const known = Object.keys(info.datasets).slice(0, 5).map(quote).join(", ");
  return new DataError(
    "registry",
    info.path,
    `has no dataset ${quote(name)}`,
    `it has ${known || "none"}; or name a .json file`,
  );
}

/** The datasets of a run: names from `dataset_info.json`, or paths of `.json`/`.jsonl` files; all rankings, or none. */
export function findDatasets(names: readonly string[], datasetDir: string, ranking = false): DatasetEntry[] {
  const info = readInfoFile(datasetDir);
  return names.map((name) => {
    const entry = info && findEntry(info, name);
    if (entry) return parseEntry(entry, name, datasetDir, ranking);
    if (isPath(name)) return inferEntry(directPath(name, datasetDir), ranking);
    throw unknown(name, datasetDir, info);
  });
}
