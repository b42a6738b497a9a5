// node tools/gpu-check.mjs [folder]: what a machine with an NVIDIA GPU and its toolkit needs to check the cuda backend,
// in one archive of at most 64 MB: this Node, the built addon, the conformance cases, a tiny model, and check.mjs with all
// packages in one file. There: `tar xzf gpu-check.tar.gz && gpu-check/run.sh`.
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
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { root, run } from "./lib.mjs";

const MOST = 64 << 20;

/** The bundler that vitest brings along. */
async function bundler() {
  const vitest = createRequire(join(root, "package.json")).resolve("vitest/package.json");
  const vite = createRequire(vitest).resolve("vite/package.json");
  return await import(pathToFileURL(createRequire(vite).resolve("rolldown")).href);
}

async function bundle(file) {
  const { build } = await bundler();
  await build({
    // The packages of the workspace are linked beside the tests.
    input: join(root, "tests/gpu-check.mjs"),
    platform: "node",
    resolve: { conditionNames: ["@welltempered/source", "node", "import"] },
    output: { file, format: "esm", codeSplitting: false },
    logLevel: "silent",
  });
}

const SCRIPT = `#!/bin/sh
# Checks the cuda backend on this machine; the result lies in results/.
here=$(cd "$(dirname "$0")" && pwd)
# The device is opened whatever it computes: what differs is what this is to find.
TEMPER_CUDA_UNCHECKED=1 TEMPER_KERNELS_PATH="$here/kernels.node" exec "$here/node" "$here/check.mjs" "$@"
`;

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
    await bundle(join(folder, "check.mjs"));
    cpSync(join(root, "fixtures/qlora/model"), join(folder, "fixtures/model"), { recursive: true });
    cpSync(join(root, "fixtures/llamafactory/data"), join(folder, "fixtures/data"), { recursive: true });
    writeFileSync(join(folder, "run.sh"), SCRIPT);
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

await pack(resolve(process.argv[2] ?? "."));
