// manifest.json names every file of a checkpoint with size and SHA-256, and ends with its own: a checkpoint without one,
// or one that differs from it, is not a checkpoint.
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join, sep } from "node:path";
import { isJsonObject, type JsonObject, type JsonValue, printable, UserError, writeJson } from "@welltempered/formats";
import { writeFileAtomic } from "./atomic-file.ts";
import { shownPath } from "./input.ts";
import { openInput, readWhole } from "./io.ts";
import { readJsonFile } from "./model-folder.ts";

export const manifestName = "manifest.json";
const formatVersion = 1;
const maxManifest = 1 << 26;
const damaged = "the checkpoint is damaged: use another";

export interface ManifestFile {
  /** Path inside the folder, with "/". */
  name: string;
  size: number;
  /** Hexadecimal. */
  sha256: string;
}

export interface Manifest {
  files: ManifestFile[];
  /** Everything else that was noted: step, hashes of config and data, … */
  facts: JsonObject;
}

/** Names of the files under a folder, sorted; links are not followed. */
export async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files
    .map((path) =>
      path
        .slice(folder.length + 1)
        .split(sep)
        .join("/"),
    )
    .sort();
}

const chunk = 1 << 22;

/** Size and SHA-256 of a file, read in pieces. */
export function hashFile(path: string): { size: number; sha256: string } {
  const file = openInput(path);
  try {
    const hash = createHash("sha256");
    for (let at = 0; at < file.size; at += chunk) hash.update(file.read(at, Math.min(chunk, file.size - at)));
    return { size: file.size, sha256: hash.digest("hex") };
  } finally {
    file.close();
  }
}

/** Writes manifest.json over all files now in the folder. `facts` are stored beside the list. */
export async function writeManifest(folder: string, facts: Readonly<Record<string, unknown>>): Promise<void> {
  const names = (await listFiles(folder)).filter((name) => name !== manifestName);
  const files = names.map((name) => ({ name, ...hashFile(join(folder, name)) }));
  const text = `${writeJson({ format_version: formatVersion, ...facts, files, sha256: noHash }, { indent: 2 })}\n`;
  await writeFileAtomic(join(folder, manifestName), sealed(text));
}

/** What stands in the place of the manifest's own hash while it is computed. */
const noHash = "0".repeat(64);
const ownHash = /(?<="sha256": ")[0-9a-f]{64}(?="\n\}\n$)/;

/** The text of a manifest with its own hash at its end. */
const sealed = (text: string): string => {
  const open = text.replace(ownHash, noHash);
  return open.replace(ownHash, createHash("sha256").update(open).digest("hex"));
};

/** Reads manifest.json without looking at the files. */
export function readManifest(folder: string): Manifest {
  const path = join(folder, manifestName);
  const { format_version: version, files, sha256: _, ...rest } = readJsonFile(path, maxManifest);
  if (version !== formatVersion)
    throw new UserError(
      `${shownPath(path)}:format_version: is ${printable(String(version), 20)}, not ${formatVersion}; use the version of temper that wrote it`,
    );
  if (!Array.isArray(files)) throw new UserError(`${shownPath(path)}:files: is not a list; use another checkpoint`);
  const entries = files.map((entry) => readEntry(entry, path));
  const text = new TextDecoder().decode(readWhole(path, maxManifest));
  if (!ownHash.test(text) || sealed(text) !== text)
    throw new UserError(`${shownPath(path)}: its content changed since it was saved; ${damaged}`);
  return { files: entries, facts: Object.assign(Object.create(null), rest) };
}

function readEntry(entry: JsonValue, path: string): ManifestFile {
  const { name, size, sha256 }: JsonObject = isJsonObject(entry) ? entry : {};
  const isValid =
    typeof name === "string" &&
    isInside(name) &&
    Number.isSafeInteger(size) &&
    typeof sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(sha256);
  if (isValid) return { name, size: Number(size), sha256 };
  throw new UserError(
    `${shownPath(path)}:files: holds a bad entry for ${printable(String(name), 40)}; use another checkpoint`,
  );
}

/** Whether a name of a manifest is a relative path that stays in its folder. */
function isInside(name: string): boolean {
  return /^[^\0\\]+$/.test(name) && name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Checks every file named in manifest.json by size and, unless `hashes` is false, SHA-256; throws a UserError that names the damaged file. */
export function verifyManifest(folder: string, options: { hashes?: boolean } = {}): Manifest {
  const manifest = readManifest(folder);
  for (const file of manifest.files) verifyFile(join(folder, file.name), file, options.hashes !== false);
  return manifest;
}

function verifyFile(path: string, wanted: ManifestFile, withHash: boolean): void {
  const found = withHash ? hashFile(path) : { size: sizeOf(path), sha256: wanted.sha256 };
  if (found.size !== wanted.size)
    throw new UserError(`${shownPath(path)}: ${found.size} bytes instead of ${wanted.size}; ${damaged}`);
  if (found.sha256 !== wanted.sha256)
    throw new UserError(`${shownPath(path)}: its content changed since it was saved; ${damaged}`);
}

function sizeOf(path: string): number {
  const file = openInput(path);
  file.close();
  return file.size;
}
