// The protocol of a checkpoint: everything into a temporary folder, fsync of every file, manifest, fsync of the folder,
// rename, fsync of the parent. A process killed anywhere leaves the old folder, the new one, or a temporary one that
// nobody takes for a checkpoint.
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CheckpointError } from "./errors.ts";
import { syncFolder, temporaryName, temporaryOwner } from "./atomic-file.ts";
import { ioError, makeFolder } from "./io.ts";
import { listFiles, writeManifest } from "./manifest.ts";

/**
 * Makes the folder `parent`/`name` through `write`, which fills a temporary one, and adds manifest.json with `facts`.
 * A folder of that name is replaced. Returns its path. On an error the temporary folder is removed and an older folder
 * of the name is as it was; errors of the file system are UserErrors (exit code 3).
 */
export async function writeFolderAtomic(
  parent: string,
  name: string,
  write: (folder: string) => Promise<void>,
  facts: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const target = join(parent, name);
  if (dirname(target) !== join(parent) || name === "..")
    throw new CheckpointError("BAD_NAME", `"${name}" is not the name of a folder`, "give a plain name");
  const temporary = temporaryName(target);
  try {
    await makeFolder(parent);
    await mkdir(temporary);
    await write(temporary);
    await syncFiles(temporary);
    await writeManifest(temporary, facts);
    await syncTree(temporary);
    await putInPlace(temporary, target);
    await syncFolder(parent);
    return target;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw ioError(error, target, "writing");
  }
}

async function syncFiles(folder: string): Promise<void> {
  for (const name of await listFiles(folder)) await syncFolder(join(folder, name));
}

async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) await syncFolder(join(entry.parentPath, entry.name));
  await syncFolder(folder);
}

// rename() replaces no folder with content, so an older one steps aside first. Killed between the two renames, the
// target is missing and both are there under temporary names; other checkpoints are untouched.
async function putInPlace(temporary: string, target: string): Promise<void> {
  const aside = temporaryName(target);
  const hadOld = await renameIfThere(target, aside);
  try {
    await rename(temporary, target);
  } catch (error) {
    if (hadOld) await rename(aside, target);
    throw error;
  }
  if (hadOld) await rm(aside, { recursive: true, force: true });
}

async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

/** Removes unfinished files and folders that processes no longer alive left in a folder. Returns their names. */
export async function removeLeftovers(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  const left = entries.filter((entry) => !entry.isSymbolicLink() && isAbandoned(temporaryOwner(entry.name)));
  for (const entry of left) await rm(join(parent, entry.name), { recursive: true, force: true });
  return left.map((entry) => entry.name);
}

function isAbandoned(pid: number | undefined): boolean {
  return pid !== undefined && pid !== process.pid && !isAlive(pid);
}

/** Whether a process of this number runs, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Whether the file system can be written to at `folder`, which must exist; throws a UserError otherwise. */
export async function checkWritable(folder: string): Promise<void> {
  const probe = temporaryName(join(folder, "probe"));
  try {
    await (await open(probe, "wx")).close();
    await rm(probe);
  } catch (error) {
    throw ioError(error, folder, "writing");
  }
}
