import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";

import { DataError, quote } from "../errors.ts";
import type { DatasetEntry } from "../registry/attributes.ts";
import { datasetsIn } from "../registry/registry.ts";
import { resolveFiles } from "./files.ts";
import type { DataFolder } from "./folder.ts";
import { type BadRowHandler, rowsOf, type SourceRow } from "./rows.ts";
import { readChunks } from "./source.ts";

function readText(path: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof TypeError) throw new DataError("syntax", path, "is not UTF-8 text", "save it as UTF-8");
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new DataError("file", path, `cannot be read (${code})`, "check dataset_dir");
  }
}

/** `dataset_dir` of the disk. */
export function diskFolder(datasetDir: string): DataFolder {
  const infoPath = join(datasetDir, "dataset_info.json");
  return {
    infoPath,
    infoText: () => {
      checkLocal(datasetDir);
      return readText(infoPath);
    },
    files: (name) => resolveFiles(isAbsolute(name) ? name : join(datasetDir, name)),
    filesNamed: (path) => resolveFiles(directPath(path, datasetDir)),
    chunks: readChunks,
  };
}

function checkLocal(datasetDir: string): void {
  if (datasetDir !== "ONLINE" && !datasetDir.startsWith("REMOTE:")) return;
  throw new DataError(
    "option",
    "dataset_dir",
    `${quote(datasetDir)}: datasets are not downloaded`,
    "give a local folder",
  );
}

function directPath(name: string, datasetDir: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) {
    throw new DataError("option", "dataset", `${quote(name)} is a URL; nothing is downloaded`, "give a local file");
  }
  const beside = join(datasetDir, name);
  return !existsSync(name) && existsSync(beside) ? beside : name;
}

/** As `datasetsIn`, of a folder of the disk. */
export const findDatasets = (names: readonly string[], datasetDir: string, ranking = false): DatasetEntry[] =>
  datasetsIn(diskFolder(datasetDir), names, ranking);

/** As `rowsOf`, of a file of the disk. */
export const readRows = (path: string, onBadRow?: BadRowHandler): Generator<SourceRow> =>
  rowsOf(readChunks(path), path, onBadRow);
