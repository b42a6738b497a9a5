// Compiles every CUDA kernel by real NVRTC and assembles it by ptxas, without a GPU, and prints registers, shared memory and
// spills a kernel. A hot kernel that spills fails. NVRTC and ptxas are pip's wheels, in the user's cache folder.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root, run } from "./lib.mjs";
import { pythonEnvironment } from "./python/setup.mjs";

const ARCHITECTURES = ["80", "90", "newest"];
/** Kernels whose speed is that of a step: registers they spill are memory they wait for. */
const HOT = [
  "add_rms_norm",
  "add_rms_norm_backward",
  "adamw",
  "adamw_8bit",
  "attention",
  "binary",
  "cross_entropy",
  "flash_128",
  "flash_64",
  "flash_dkv_128",
  "flash_dkv_64",
  "flash_dq_128",
  "flash_dq_64",
  "four_bit",
  "gated",
  "rms_norm",
  "rope",
];

/** The folder of NVIDIA's wheels. */
function toolkit() {
  const environment = dirname(dirname(pythonEnvironment("cuda")));
  const [library] = readdirSync(join(environment, "lib"));
  return join(environment, "lib", library, "site-packages/nvidia/cu13");
}

/** What `ptxas -v` says of each kernel of a file. */
function kernelsOf(text) {
  const entries = text.split(/Compiling entry function '/).slice(1);
  return entries.map((entry) => {
    const number = (pattern) => Number(pattern.exec(entry)?.[1] ?? 0);
    return {
      kernel: entry.slice(0, entry.indexOf("'")),
      registers: number(/Used (\d+) registers/),
      shared: number(/(\d+) bytes smem/),
      stores: number(/(\d+) bytes spill stores/),
      loads: number(/(\d+) bytes spill loads/),
    };
  });
}

function assemble(ptxas, file, architecture) {
  const options = ["-v", `-arch=${architecture}`, "-o", "/dev/null", file];
  const { status, stderr } = spawnSync(ptxas, options, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ptxas refuses ${file}:\n${stderr}`);
  return kernelsOf(stderr);
}

function main() {
  const folder = mkdtempSync(join(tmpdir(), "cuda-registers-"));
  try {
    const cuda = toolkit();
    const env = { TEMPER_CUDA_LIBRARIES: join(cuda, "lib") };
    const target = join(root, "target");
    // With the native library and as that is built in a checkout: nothing is compiled twice.
    const crates = ["-p", "kernels-cuda", "-p", "kernels-napi", "--features", "faults"];
    run("cargo", ["build", "--release", "--quiet", "--target-dir", target, ...crates, "--example", "assemble"]);
    run(join(target, "release/examples/assemble"), [folder, ...ARCHITECTURES], { env });
    const files = readdirSync(folder).filter((name) => name.endsWith(".ptx"));
    const rows = files.toSorted().flatMap((name) => {
      const [source, architecture] = name.split(".");
      const kernels = assemble(join(cuda, "bin/ptxas"), join(folder, name), architecture);
      return kernels.map((kernel) => ({ source, architecture, ...kernel }));
    });
    return table(rows);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function table(rows) {
  console.log("| source | kernel | architecture | registers | shared, bytes | spilled, bytes |");
  console.log("|---|---|---|---|---|---|");
  for (const { source, kernel, architecture, registers, shared, stores, loads } of rows)
    console.log(`| ${source} | ${kernel} | ${architecture} | ${registers} | ${shared} | ${stores + loads} |`);
  const spilling = rows.filter(({ kernel, stores, loads }) => HOT.includes(kernel) && stores + loads > 0);
  const named = new Set(rows.map(({ kernel }) => kernel));
  const gone = HOT.filter((kernel) => !named.has(kernel));
  for (const { kernel, architecture } of spilling)
    console.error(`error: ${kernel} spills registers on ${architecture}`);
  for (const kernel of gone) console.error(`error: there is no kernel ${kernel}`);
  console.error(`${rows.length} kernels, ${rows.filter(({ stores, loads }) => stores + loads > 0).length} spill`);
  return spilling.length + gone.length === 0 ? 0 : 1;
}

process.exitCode = main();
