// A file is whole under its name or not there: written beside it under a temporary name, fsync, rename, fsync of the folder.
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ioError } from "./io.ts";

/** Mark in the names of unfinished files and folders; the process that made them follows. */
const mark = ".tmp-";

/** A name beside `path` that removeLeftovers() recognises. */
export function temporaryName(path: string): string {
  return join(dirname(path), `${basename(path)}${mark}${process.pid}-${randomBytes(4).toString("hex")}`);
}

/** Pid in the name of an unfinished file or folder of this project; undefined for any other name. */
export function temporaryOwner(name: string): number | undefined {
  const [, pid] = /\.tmp-(\d{1,10})-[0-9a-f]{8}$/.exec(name) ?? [];
  return pid === undefined ? undefined : Number(pid);
}

/** Makes the entries of a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes all of `bytes` at `position`, in pieces that the system calls take. Returns where the next ones go. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at, Math.min(bytes.length - at, 1 << 28), position + at);
    at += bytesWritten;
  }
  return position + bytes.length;
}

/** Fills a file through `write` and puts it under its name when it is durable. Throws a UserError that names the file. */
export async function replaceFile(path: string, write: (handle: FileHandle) => Promise<unknown>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const handle = await open(temporary, "wx");
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw ioError(error, path, "writing");
  }
}

/** Text or bytes under `path`, whole or not at all. */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await replaceFile(path, (handle) => writeAll(handle, bytes, 0));
}
