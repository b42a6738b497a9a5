// Checks of folders that are written, before anything is loaded.
import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import type { RunConfig } from "@welltempered/config";
import { UsageError } from "./errors.ts";

const maxName = 255;
const maxPath = 4095;

/** Refuses a target that is a file, too long, or inside (or the same as) a folder that is read. Throws UsageError. */
export function checkTarget(key: string, target: string, config: RunConfig): void {
  const full = resolve(target);
  const shown = JSON.stringify(target.length > 60 ? `${target.slice(0, 60)}…` : target);
  const refuse = (what: string): never => {
    throw new UsageError(`${key}: ${shown} ${what}; choose another folder`);
  };
  const names = full.split(sep);
  if (Buffer.byteLength(full) > maxPath || names.some((name) => Buffer.byteLength(name) > maxName))
    refuse("is too long");
  const nearest = existing(full);
  if (!statSync(nearest).isDirectory()) refuse(nearest === full ? "is a file" : "leads through a file");
  for (const read of [config.modelNameOrPath, ...config.adapterNameOrPath])
    if (isFolder(read) && within(realpathSync(nearest) + full.slice(nearest.length), realpathSync(read)))
      if (read === config.modelNameOrPath || key === "export_dir")
        refuse(`is inside the folder ${JSON.stringify(read)} that is read`);
}

function existing(path: string): string {
  let found = path;
  while (!existsSync(found) && dirname(found) !== found) found = dirname(found);
  return found;
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function within(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
