import { readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";

import { DataError } from "../errors.ts";

const READABLE = new Set([".json", ".jsonl"]);

function checkExtension(path: string): string {
  const extension = extname(path).toLowerCase();
  if (READABLE.has(extension)) return path;
  const what = extension === "" ? "has no file extension" : `${extension} files are not read`;
  throw new DataError("file", path, what, "give a .json or .jsonl file");
}

function listFolder(path: string): string[] {
  const names = readdirSync(path).sort();
  if (names.length === 0) throw new DataError("empty", path, "is an empty folder", "put .json or .jsonl files in it");
  return names.map((name) => checkExtension(join(path, name)));
}

/** The data files behind a file or folder name: itself, or the folder's files sorted by name. */
export function resolveFiles(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new DataError("file", path, "no such file", "check file_name and dataset_dir");
  return stat.isDirectory() ? listFolder(path) : [checkExtension(path)];
}
