// Builds the Rust addon of this checkout, with the fault hooks that tests use, and puts it where the loader looks.
// Cargo does nothing where nothing changed; the copy is made only where the library is newer.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const libraries = { darwin: "libkernels_napi.dylib", win32: "kernels_napi.dll" };
const library = join(root, "target/release", libraries[process.platform] ?? "libkernels_napi.so");
const addon = join(here, "native", `kernels.${process.platform}-${process.arch}.node`);

const build = spawnSync("cargo", ["build", "--release", "--quiet", "-p", "kernels-napi", "--features", "faults"], {
  cwd: root,
  stdio: ["ignore", "inherit", "inherit"],
});
if (build.error !== undefined) {
  console.error(`cargo did not start (${build.error.message}); install Rust from https://rustup.rs and try again`);
  process.exit(3);
}
if (build.status !== 0) process.exit(build.status ?? 1);

mkdirSync(dirname(addon), { recursive: true });
if (!existsSync(addon) || statSync(addon).mtimeMs < statSync(library).mtimeMs) {
  // A process may have the old file mapped: a rename leaves that mapping whole.
  copyFileSync(library, `${addon}.new`);
  renameSync(`${addon}.new`, addon);
}
