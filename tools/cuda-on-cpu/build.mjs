// Builds the libraries of tools/cuda-on-cpu: NVIDIA's driver, NVRTC and cuBLASLt as far as crates/kernels-cuda calls them,
// on this CPU. Prints the folder that TEMPER_CUDA_LIBRARIES must name. Does nothing where nothing changed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cache, has, hashFiles, root, run } from "../lib.mjs";

const here = join(root, "tools/cuda-on-cpu");
const kernels = join(root, "crates/kernels-cuda/cu");

/** Why the emulator cannot be built here; undefined where it can. */
export function emulatorMissing() {
  if (process.platform !== "linux" || process.arch !== "x64") return "the emulator runs on x86-64 Linux";
  return has("g++") ? undefined : "g++ was not found";
}

/** FNV-1a of 64 bits, as in compiler.cpp. */
function hash(...texts) {
  let value = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(texts.join(""))) value = ((value ^ BigInt(byte)) * 0x100000001b3n) & (2n ** 64n - 1n);
  return value;
}

/** Sources that are compiled once more behind a definition, as in crates/kernels-cuda/src/sources.rs. */
const defined = { "flash.cu": "#define PRODUCTS_OF_F16\n" };

/** The source as it is, and behind it a line for each of its kernels. */
function twin(name, definition, text, common) {
  const names = [...text.matchAll(/__global__\s+void\s+(\w+)/g)].map((match) => match[1]);
  const source = `0x${hash(definition, text, common).toString(16)}ull`;
  const lines = names.map((kernel) => `EMULATED_KERNEL(${source}, ${kernel})`);
  const included = `#include "${join(kernels, name)}"`;
  if (definition === "") return ['#include "registry.h"', included, ...lines, ""].join("\n");
  // Names of its own: the same functions are linked beside it without the definition.
  const headers = ['#include "registry.h"', '#include "common.cuh"', "#include <mma.h>"];
  const own = names.map((kernel) => `#define ${kernel} defined_${kernel}`);
  return [...headers, definition, ...own, "namespace {", included, "}", ...lines, ""].join("\n");
}

function compile(folder) {
  const common = readFileSync(join(kernels, "common.cuh"), "utf8");
  const sources = readdirSync(kernels).filter((name) => name.endsWith(".cu"));
  // Products and sums are rounded one by one: fused, they would hide what a kernel loses.
  const options = ["-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-w"];
  const includes = [`-I${join(here, "shim")}`, `-I${kernels}`];
  const all = sources.flatMap((name) => [[name, ""], ...(name in defined ? [[name, defined[name]]] : [])]);
  const objects = all.map(([name, definition], number) => {
    const file = join(folder, `${number}-${basename(name, ".cu")}.cpp`);
    writeFileSync(file, twin(name, definition, readFileSync(join(kernels, name), "utf8"), common));
    run("g++", [...options, ...includes, "-c", file, "-o", `${file}.o`], { quiet: true });
    return `${file}.o`;
  });
  const link = (library, ...inputs) =>
    run("g++", [...options, ...includes, "-shared", `-Wl,-soname,${library}`, "-o", join(folder, library), ...inputs], {
      quiet: true,
    });
  link("libcuda.so.1", join(here, "fibers.cpp"), join(here, "driver.cpp"), ...objects);
  link("libnvrtc.so.13", join(here, "compiler.cpp"));
  link("libcublasLt.so.13", "-O3", "-march=native", "-ffp-contract=off", join(here, "blas.cpp"));
}

/** Folder of the libraries for these sources, making it first where it is absent. */
export function emulator() {
  const missing = emulatorMissing();
  if (missing !== undefined) throw new Error(missing);
  const inputs = [here, join(here, "shim"), kernels].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => /\.(cpp|h|cu|cuh|mjs)$/.test(name))
      .map((name) => join(folder, name)),
  );
  const machine = spawnSync("g++", ["-march=native", "-Q", "--help=target"], { encoding: "utf8" }).stdout;
  const key = hash(hashFiles(inputs), /-march=\s+(\S+)/.exec(machine)?.[1] ?? "").toString(16);
  const folder = join(cache, `cuda-on-cpu-${key}`);
  if (existsSync(join(folder, "libcublasLt.so.13"))) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  try {
    compile(fresh);
    rmSync(folder, { recursive: true, force: true });
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(emulator());
