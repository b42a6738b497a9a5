// Builds the Rust addon of this checkout and puts it where the loader looks.
// With --publish it is built without the fault hooks that tests use and optimised across crates, in a folder of its own.
// Cargo does nothing where nothing changed; the copy is made only where the bytes differ.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const publish = process.argv.includes("--publish");
const target = join(root, publish ? "target/publish" : "target");

/** The name napi gives this platform, as in src/library.ts. */
function platformName() {
  const { platform, arch } = process;
  if (platform === "win32") return `win32-${arch}-msvc`;
  if (platform !== "linux") return `${platform}-${arch}`;
  return `linux-${arch}-${process.report.getReport().header.glibcVersionRuntime ? "gnu" : "musl"}`;
}

function build() {
  const options = publish ? [] : ["--features", "faults"];
  const cargo = ["build", "--release", "--quiet", "-p", "kernels-napi", "--target-dir", target, ...options];
  const { error, status } = spawnSync("cargo", cargo, {
    cwd: root,
    env: { ...process.env, ...(publish ? { CARGO_PROFILE_RELEASE_LTO: "thin" } : {}) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (error !== undefined) {
    console.error(`cargo did not start (${error.message}); install Rust from https://rustup.rs and try again`);
    process.exit(3);
  }
  if (status !== 0) process.exit(status ?? 1);
}

function install() {
  const libraries = { darwin: "libkernels_napi.dylib", win32: "kernels_napi.dll" };
  const library = readFileSync(join(target, "release", libraries[process.platform] ?? "libkernels_napi.so"));
  const addon = join(here, "native", `kernels.${platformName()}.node`);
  if (existsSync(addon) && readFileSync(addon).equals(library)) return;
  mkdirSync(dirname(addon), { recursive: true });
  // A process may have the old file mapped: a rename leaves that mapping whole.
  writeFileSync(`${addon}.new`, library);
  renameSync(`${addon}.new`, addon);
}

build();
install();
