// npm run setup: dependencies, native build, wasm build, TypeScript build. Repeatable; quick when nothing changed.
// --without-wasm leaves the wasm kernels to `tools/build-wasm.mjs`.
import { globSync } from "./glob.mjs";
import { has, hashFiles, holds, pnpm, root, start, writeStamp } from "./lib.mjs";
import { join } from "node:path";

const quiet = process.argv.includes("--quiet");
const say = (text) => quiet || console.error(text);

try {
  const started = Date.now();
  checkMachine();
  // Beside each other: the wasm kernels are one thread's work, dependencies the network's.
  const withWasm = !process.argv.includes("--without-wasm");
  await Promise.all([native(), withWasm && wasm(), dependencies().then(typescript)]);
  say(`setup: ready in ${((Date.now() - started) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(`error: setup: ${error.message}`);
  process.exit(3);
}

async function dependencies() {
  const manifests = [
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "package.json",
    ...globSync("packages/*/package.json"),
    "bench/package.json",
    "examples/browser/package.json",
    "tests/package.json",
  ];
  const key = hashFiles(manifests.map((path) => join(root, path)));
  const stamp = join(root, "node_modules/.welltempered-install");
  if (holds(stamp, key)) return say("setup: dependencies are up to date");
  say("setup: installing dependencies");
  const [command, ...args] = pnpm;
  await start(command, [...args, "install", "--frozen-lockfile"], { env: { CI: "true" } });
  writeStamp(stamp, key);
}

async function native() {
  say("setup: native kernels (the first build takes some minutes)");
  await start(process.execPath, ["packages/kernels/build-native.mjs"]);
}

async function wasm() {
  say("setup: wasm kernels (the first build compiles its tools)");
  const { text } = await start(process.execPath, ["tools/build-wasm.mjs"]);
  if (text !== "") say(`setup: ${text.trim()}`);
}

async function typescript() {
  say("setup: TypeScript");
  await start("node_modules/.bin/tsc", ["-b"]);
  await start(process.execPath, ["packages/cli/bundle.mjs"]);
}

function checkMachine() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    throw new Error(`Node ${process.versions.node} is too old; install Node 20.19 or later`);
  if (!has("cargo")) throw new Error("cargo was not found; install Rust from https://rustup.rs, then run this again");
}
