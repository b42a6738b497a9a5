import { DataError, quote } from "../errors.ts";
import type { DataFolder } from "../read/folder.ts";
import type { DatasetEntry } from "./attributes.ts";
import { inferEntry } from "./infer-entry.ts";
import { findEntry, type InfoFile, readInfoFile } from "./info-file.ts";
import { parseEntry } from "./parse-entry.ts";

function isPath(name: string): boolean {
  return /\.jsonl?$/i.test(name) && !name.includes("\0");
}

function unknown(name: string, infoPath: string, info: InfoFile | undefined): DataError {
  if (!info) {
    const hint = `write one, or name a .json or .jsonl file instead of ${quote(name)}`;
    return new DataError("registry", infoPath, "no such file", hint);
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
export function datasetsIn(folder: DataFolder, names: readonly string[], ranking = false): DatasetEntry[] {
  const info = readInfoFile(folder);
  return names.map((name) => {
    const entry = info && findEntry(info, name);
    if (entry) return parseEntry(entry, name, folder, ranking);
    if (isPath(name)) return inferEntry(name, folder, ranking);
    throw unknown(name, folder.infoPath, info);
  });
}
