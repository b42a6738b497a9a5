// node tools/gpu-check.mjs [folder]: what a machine with an NVIDIA GPU and its toolkit needs to check the cuda backend,
// in one archive of at most 64 MB: this Node, the built addon, a tiny model, the reference's scripts, and
// tests/gpu-check/check.mjs with all packages in one file. There: `tar xzf gpu-check.tar.gz && gpu-check/run.sh`.
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { root, run } from "./lib.mjs";

const MOST = 64 << 20;

/** check.mjs and all it needs, in one file. */
export async function bundle(file) {
  await build({
    // The packages of the workspace are linked beside the tests.
    input: join(root, "tests/gpu-check/check.mjs"),
    platform: "node",
    resolve: { conditionNames: ["@welltempered/source", "node", "import"] },
    output: { file, format: "esm", codeSplitting: false },
    logLevel: "silent",
  });
}

const SCRIPT = `#!/bin/sh
# Checks the cuda backend on this machine; the result lies in bench/results/. Options: tests/gpu-check/check.mjs.
here=$(cd "$(dirname "$0")" && pwd)
TEMPER_KERNELS_PATH="$here/kernels.node" exec "$here/node" "$here/tests/check.mjs" "$@"
`;

/** What is read on the other machine, where it lies here. */
const CARRIED = [
  "fixtures/qlora/model",
  "fixtures/qlora/adapter",
  "fixtures/qlora/curves.json",
  "fixtures/llamafactory/data",
  "tools/python/qlora_rows.py",
  "tools/python/gpu_curves.py",
  "bench/gpu/reference.py",
  "bench/gpu/philox.py",
  "bench/lora-step/step.py",
];

const git = (...words) => execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();

/** The archive is a checkout of what it carries; the bundle lies as deep as tools, so that it finds the root. */
export async function fill(folder) {
  const commit = { commit: git("rev-parse", "HEAD"), uncommittedChanges: git("status", "--porcelain") !== "" };
  writeFileSync(join(folder, "commit.json"), JSON.stringify(commit));
  for (const path of CARRIED) cpSync(join(root, path), join(folder, path), { recursive: true });
  await bundle(join(folder, "tests/check.mjs"));
  writeFileSync(join(folder, "run.sh"), SCRIPT);
}

async function pack(out) {
  const scratch = mkdtempSync(join(tmpdir(), "gpu-check-"));
  try {
    const folder = join(scratch, "gpu-check");
    mkdirSync(folder);
    run(process.execPath, ["packages/kernels/build-native.mjs", "--publish"], { quiet: true });
    const native = join(root, "target/publish/release/libkernels_napi.so");
    if (!existsSync(native)) throw new Error("the archive is made on Linux, for Linux");
    copyFileSync(native, join(folder, "kernels.node"));
    copyFileSync(process.execPath, join(folder, "node"));
    await fill(folder);
    for (const name of ["run.sh", "node"]) chmodSync(join(folder, name), 0o755);
    const archive = join(out, "gpu-check.tar.gz");
    run("tar", ["czf", archive, "-C", scratch, "gpu-check"]);
    const { size } = statSync(archive);
    if (size > MOST) throw new Error(`the archive has ${size} bytes, more than ${MOST}`);
    console.log(`${archive}  ${(size / (1 << 20)).toFixed(1)} MB`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await pack(resolve(process.argv[2] ?? "."));
