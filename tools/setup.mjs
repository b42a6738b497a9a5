// npm run setup: dependencies, native build, TypeScript build. Repeatable; quick when nothing changed.
import { buildWasm } from "./build-wasm.mjs";
import { globSync } from "./glob.mjs";
import { has, hashFiles, once, pnpm, root, run } from "./lib.mjs";
import { join } from "node:path";

const quiet = process.argv.includes("--quiet");
const say = (text) => quiet || console.error(text);

try {
  const started = Date.now();
  checkMachine();
  const manifests = [
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "package.json",
    ...globSync("packages/*/package.json"),
    "bench/package.json",
    "tests/package.json",
  ];
  const key = hashFiles(manifests.map((path) => join(root, path)));
  const installed = once(join(root, "node_modules/.welltempered-install"), key, () => {
    say("setup: installing dependencies");
    const [command, ...args] = pnpm;
    run(command, [...args, "install", "--frozen-lockfile"], { quiet: true, env: { CI: "true" } });
  });
  say(installed ? "setup: dependencies installed" : "setup: dependencies are up to date");
  say("setup: native kernels (the first build takes some minutes)");
  run(process.execPath, ["packages/kernels/build-native.mjs"], { quiet: true });
  say("setup: wasm kernels (the first build compiles its tools)");
  const reason = buildWasm();
  if (reason !== undefined) say(`setup: no wasm kernels: ${reason}`);
  say("setup: TypeScript");
  run("node_modules/.bin/tsc", ["-b"], { quiet: true });
  say(`setup: ready in ${((Date.now() - started) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(`error: setup: ${error.message}`);
  process.exit(3);
}

function checkMachine() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    throw new Error(`Node ${process.versions.node} is too old; install Node 20.19 or later`);
  if (!has("cargo")) throw new Error("cargo was not found; install Rust from https://rustup.rs, then run this again");
}
