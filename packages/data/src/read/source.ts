import { closeSync, fstatSync, openSync, readSync } from "node:fs";

import { DataError } from "../errors.ts";

const CHUNK_BYTES = 1 << 20;

function openFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    if (code === "ENOENT") throw new DataError("file", path, "no such file", "check file_name and dataset_dir");
    throw new DataError("file", path, `cannot be opened (${code})`, "check its permissions");
  }
}

function checkRegular(descriptor: number, path: string): void {
  const stat = fstatSync(descriptor);
  if (!stat.isFile()) throw new DataError("file", path, "is not a regular file", "give a .json or .jsonl file");
  if (stat.size === 0) throw new DataError("empty", path, "is empty", "give a file with at least one row");
}

/** Reads a regular file in pieces of at most 1 MiB; each piece is only valid until the next one is asked for. */
export function* readChunks(path: string): Generator<Uint8Array> {
  const descriptor = openFile(path);
  try {
    checkRegular(descriptor, path);
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (;;) {
      const length = readSync(descriptor, buffer, 0, CHUNK_BYTES, null);
      if (length === 0) return;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}
