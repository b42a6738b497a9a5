// Shared by the repository's scripts: running commands, the user's cache folder, stamps that make steps repeatable.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where heavy things live that outlast a checkout: Python environments, the SmolLM2 model. */
export const cache =
  process.env.TEMPER_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "welltempered");

export const pnpm = ["npx", "-y", "pnpm@10.34.9"];

/** Runs a command in the repository root. `quiet` shows its output only where it fails. */
export function run(command, args, { quiet = false, env = {}, cwd = root, allowFailure = false } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0 && !allowFailure) {
    if (quiet) process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
    throw new Error(`${command} ${args.join(" ")} exited with ${result.status ?? result.signal}`);
  }
  return result;
}

/** As `run`, beside others: resolves to the exit status and what was said, on both streams in order. */
export async function start(command, args, { env = {}, cwd = root, allowFailure = false } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (part) => (text += part));
  }
  const status = await new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Error(`${command} could not be started: ${error.message}`)));
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  if (status !== 0 && !allowFailure) {
    process.stderr.write(text);
    throw new Error(`${command} ${args.join(" ")} exited with ${status}`);
  }
  return { status, text };
}

export function has(command, args = ["--version"]) {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

export function hashFiles(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(existsSync(path) ? readFileSync(path) : "absent");
  return hash.digest("hex");
}

/** Whether the stamp file says that the step of this key is done. */
export const holds = (stamp, key) => existsSync(stamp) && readFileSync(stamp, "utf8") === key;

export function writeStamp(stamp, key) {
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, key);
}

/** Runs `step` unless the stamp file already holds `key`. */
export function once(stamp, key, step) {
  if (holds(stamp, key)) return;
  step();
  writeStamp(stamp, key);
}
