// The Python reference stack that tests compare with: one environment in the user's cache folder, made once a pin file.
// pip's torch is the CUDA build: 5 GB, some minutes. Nothing of it is needed to use welltempered.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cache, has, hashFiles, root, run } from "../lib.mjs";

/** Path of the interpreter of the environment for `tools/python/<name>.txt`, making it first where it is absent. */
export function pythonEnvironment(name = "reference") {
  const pins = join(root, "tools/python", `${name}.txt`);
  const folder = join(cache, `py-${name}-${hashFiles([pins]).slice(0, 12)}`);
  const python = join(folder, "bin/python");
  const stamp = join(folder, ".complete");
  if (existsSync(stamp)) return python;
  const base = ["python3.11", "python3.12", "python3.10", "python3"].find((command) => has(command));
  if (base === undefined) throw new Error("python3 was not found");
  console.error(`python: making the ${name} environment in ${folder} (once; with torch 5 GB)`);
  mkdirSync(cache, { recursive: true });
  rmSync(folder, { recursive: true, force: true });
  run(base, ["-m", "venv", folder], { quiet: true });
  run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv==0.13.9"], { quiet: true });
  run(python, ["-m", "uv", "pip", "install", "--quiet", "--python", python, "-r", pins], { quiet: true });
  writeFileSync(stamp, "");
  return python;
}

/** Why the reference stack cannot be used here; undefined where it can. */
export function pythonMissing() {
  if (!has("python3")) return "python3 was not found";
  const version = spawnSync("python3", ["-c", "import sys; print(sys.version_info >= (3, 10))"], { encoding: "utf8" });
  return version.stdout.trim() === "True" ? undefined : "python3 is older than 3.10";
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(pythonEnvironment(process.argv[2]));
