// One process a run folder. The lock file names its holder by pid and start time, so that a number the system has given
// to another process since is recognised; it appears whole, by link().
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { isJsonObject, parseJson, UserError, writeJson } from "@welltempered/formats";
import { isAlive } from "./atomic-folder.ts";
import { temporaryName } from "./atomic-file.ts";
import { shownPath } from "./input.ts";
import { ioError } from "./io.ts";

export interface FolderLock {
  /** Gives the folder back; also done when the process exits. */
  release(): void;
}

interface Holder {
  pid: number;
  /** Clock ticks after boot (Linux); "" where unknown. */
  start: string;
  host: string;
  boot: string;
}

const lockName = ".temper.lock";

/** Takes a folder, which must exist, for this process; throws a UserError (exit code 2) while another process holds it. */
export function lockFolder(folder: string): FolderLock {
  const path = join(folder, lockName);
  const text = writeJson(currentProcess());
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, text, { flag: "wx" });
    take(temporary, path, folder);
  } catch (error) {
    throw ioError(error, folder, "locking");
  } finally {
    rmSync(temporary, { force: true });
  }
  return heldLock(path, text);
}

function take(temporary: string, path: string, folder: string): void {
  for (let attempt = 0; attempt < 10; attempt++) {
    if (linked(temporary, path)) return;
    const text = readLock(path);
    if (text === undefined) continue;
    const holder = parseHolder(text);
    if (holder && isHeld(holder)) throw inUse(folder, path, holder);
    removeStale(path, text);
  }
  throw new UserError(`${shownPath(folder)}: the lock ${lockName} keeps changing; delete it if nothing runs there`);
}

function linked(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

// Two processes may find the same stale lock. The one whose rename moves the other's fresh lock puts it back.
function removeStale(path: string, text: string): void {
  const aside = temporaryName(path);
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readLock(aside) !== text) linked(aside, path);
  rmSync(aside, { force: true });
}

function heldLock(path: string, text: string): FolderLock {
  const release = (): void => {
    process.off("exit", release);
    if (readLock(path) === text) rmSync(path, { force: true });
  };
  process.on("exit", release);
  return { release };
}

function inUse(folder: string, path: string, { pid, host }: Holder): UserError {
  const where = host === hostname() ? `process ${pid}` : `process ${pid} on ${host}`;
  return new UserError(
    `${shownPath(folder)}: is in use by ${where}; wait for it, choose another folder, or delete ${shownPath(path)} if it is gone`,
  );
}

/** A holder on another machine cannot be asked, so it counts as alive. */
function isHeld(holder: Holder): boolean {
  if (holder.host !== hostname()) return true;
  if (holder.boot !== bootId() || !isAlive(holder.pid)) return false;
  return holder.start === processStart(holder.pid);
}

function currentProcess(): Holder {
  return { pid: process.pid, start: processStart(process.pid), host: hostname(), boot: bootId() };
}

/** Field 22 of /proc/<pid>/stat: clock ticks from boot to the start of the process. */
function processStart(pid: number): string {
  const stat = readLock(`/proc/${pid}/stat`) ?? "";
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function bootId(): string {
  return readLock("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** undefined for anything that lockFolder() did not write. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value = parseJson(text, { file: lockName });
    if (!isJsonObject(value)) return undefined;
    const { pid, start, host, boot } = value;
    const isHolder =
      Number.isInteger(pid) && Number(pid) > 0 && [start, host, boot].every((field) => typeof field === "string");
    return isHolder ? { pid: Number(pid), start: String(start), host: String(host), boot: String(boot) } : undefined;
  } catch {
    return undefined;
  }
}
