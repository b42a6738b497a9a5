// Where the native library may lie, and why each place did not serve.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { KernelError } from "./errors.ts";
import type { NativeLibrary } from "./native.ts";

/** One place that was tried for the native library; `problem` is absent where it loaded. */
export interface LibraryAttempt {
  path: string;
  problem?: string;
}

interface Addon {
  openBackend(kind: string, threads: number, matmulPrecision: string): NativeLibrary;
}

const require = createRequire(import.meta.url);

/** "linux-x64-gnu": the suffix of the addon's file and of the package that carries it. */
export function platformName(): string {
  const { platform, arch } = process;
  if (platform === "win32") return `win32-${arch}-msvc`;
  return platform === "linux" ? `linux-${arch}-${libc()}` : `${platform}-${arch}`;
}

function libc(): "gnu" | "musl" {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined ? "musl" : "gnu";
}

/** TEMPER_KERNELS_PATH alone where it is set; else this checkout's build, then the platform's package. */
function candidates(): string[] {
  const forced = process.env["TEMPER_KERNELS_PATH"];
  if (forced !== undefined && forced !== "") return [forced];
  const name = platformName();
  const local = fileURLToPath(new URL(`../native/kernels.${name}.node`, import.meta.url));
  return [local, `@welltempered/kernels-${name}`];
}

function load(path: string): Addon | string {
  try {
    const addon = require(path) as Partial<Addon> | null;
    return typeof addon?.openBackend === "function" ? (addon as Addon) : "exports no openBackend";
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[0] ?? error.message) : String(error);
  }
}

/** The native library from the first place that has it, with what was tried on the way. */
export function findLibrary(): { addon: Addon | undefined; attempts: LibraryAttempt[] } {
  const attempts: LibraryAttempt[] = [];
  for (const path of candidates()) {
    const found = load(path);
    if (typeof found !== "string") return { addon: found, attempts: [...attempts, { path }] };
    attempts.push({ path, problem: found });
  }
  return { addon: undefined, attempts };
}

/** Throws NO_BACKEND that names every place tried and what to install. */
export function requireLibrary(): Addon {
  const { addon, attempts } = findLibrary();
  if (addon !== undefined) return addon;
  const tried = attempts.map(({ path, problem }) => `${path} (${problem ?? ""})`).join("; ");
  throw new KernelError(
    "NO_BACKEND",
    `no native kernels for ${platformName()}: ${tried}`,
    `install @welltempered/kernels-${platformName()}, or in a checkout run \`node packages/kernels/build-native.mjs\``,
  );
}
