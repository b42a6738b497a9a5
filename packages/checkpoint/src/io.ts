// Files given by the user are read with pread into our own memory, never mapped: a file that another process cuts short
// is then an error, not a SIGBUS. Every error of the file system becomes one line with the path.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { UserError } from "@welltempered/formats";
import { allocate, type InputFile, type Scratch, shownPath } from "./input.ts";

const reasons = new Map<string, [what: string, hint: string, exitCode: 2 | 3]>([
  ["ENOENT", ["does not exist", "check the path", 2]],
  ["ENOTDIR", ["leads through a file", "check the path", 2]],
  ["EISDIR", ["is a folder", "give a file", 2]],
  ["ELOOP", ["is a symbolic link that leads to itself", "check the link", 2]],
  ["ENAMETOOLONG", ["is too long a name", "use a shorter path", 2]],
  ["ERR_INVALID_ARG_VALUE", ["is not a path", "check the path", 2]],
  ["EACCES", ["may not be accessed", "change its permissions", 3]],
  ["EPERM", ["may not be accessed", "change its permissions", 3]],
  ["EROFS", ["is on a read-only file system", "choose another folder", 3]],
  ["ENOSPC", ["does not fit: the disk is full", "free some space", 3]],
  ["EDQUOT", ["does not fit: the disk quota is used up", "free some space", 3]],
  ["EFBIG", ["is larger than this system allows", "raise the limit on file sizes", 3]],
  ["EMFILE", ["cannot be opened: too many open files", "raise the limit (ulimit -n)", 3]],
  ["EIO", ["failed with an input/output error", "check the disk", 3]],
]);

/** What the user can do about an error of the file system; other errors come back as they are. `during` names the action. */
export function ioError(error: unknown, path: string, during: string): Error {
  if (error instanceof UserError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  const code = "code" in error ? String(error.code) : "";
  const known = reasons.get(code);
  if (known) return new UserError(`${shownPath(path)}: ${known[0]}; ${known[1]}`, known[2]);
  return /^E[A-Z0-9]+$/.test(code)
    ? new UserError(`${shownPath(path)}: ${during} failed (${code}); check the file system`, 3)
    : error;
}

/** Opens a regular file; throws a UserError for anything else, without waiting for a pipe to be written to. */
export function openInput(path: string): InputFile {
  const fd = attempt(path, "opening", () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  const info = attempt(path, "reading", () => fstatSync(fd));
  if (!info.isFile()) {
    closeSync(fd);
    throw new UserError(
      `${shownPath(path)}: is ${info.isDirectory() ? "a folder" : "not a regular file"}; give a file`,
    );
  }
  let open = true;
  return {
    path,
    get fd() {
      return open ? fd : undefined;
    },
    size: info.size,
    read: (offset, length, scratch) => readRange({ fd, path, size: info.size }, offset, length, scratch),
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

function attempt<T>(path: string, during: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ioError(error, path, during);
  }
}

const largestRead = 1 << 30;

interface Readable {
  fd: number;
  path: string;
  size: number;
}

function readRange({ fd, path, size }: Readable, offset: number, length: number, scratch?: Scratch): Uint8Array {
  if (offset + length > size)
    throw new UserError(
      `${shownPath(path)}: ends at byte ${size}, before byte ${offset + length}; fetch the file again`,
    );
  const bytes = scratch?.take(path, length) ?? allocate(path, length);
  let at = 0;
  while (at < length) {
    const count = attempt(path, "reading", () =>
      readSync(fd, bytes, at, Math.min(length - at, largestRead), offset + at),
    );
    if (count === 0)
      throw new UserError(
        `${shownPath(path)}: was cut short to ${offset + at} bytes while it was read; leave the file alone during a run`,
      );
    at += count;
  }
  return bytes;
}

/** All bytes of a regular file of at most `maxBytes`. */
export function readWhole(path: string, maxBytes: number): Uint8Array {
  const file = openInput(path);
  try {
    if (file.size > maxBytes)
      throw new UserError(
        `${shownPath(path)}: ${file.size} bytes, more than the ${maxBytes} allowed; check that it is the right file`,
      );
    return file.read(0, file.size);
  } finally {
    file.close();
  }
}

/** Makes a folder and those above it; throws a UserError. (Node's own recursive mkdir never returns on some file systems, /proc for one.) */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeOne(path);
  } catch (error) {
    throw ioError(error, path, "creating");
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeOne(dirname(path));
    await mkdir(path);
  }
}
