// npm test: sets everything up, runs every suite, ends with one line that any CI can read.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromiumMissing } from "./browser.mjs";
import { buildWasm } from "./build-wasm.mjs";
import { fetchSmolLM2 } from "./fetch-smollm2.mjs";
import { start } from "./lib.mjs";
import { pythonMissing } from "./python/setup.mjs";

const ci = process.env.CI === "true";
// What is compiled once gains nothing from being prepared for the next time.
if (ci) process.env.CARGO_INCREMENTAL = "0";
const totals = { passed: 0, failed: 0, skipped: 0 };

function count({ passed = 0, failed = 0, skipped = 0 }) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
}

/** One suite: its counts are added up; a crash of the suite itself is one failure. What it says comes when it has ended. */
async function suite(name, body) {
  const started = Date.now();
  console.error(`── ${name} begins`);
  const said = [];
  try {
    count(await body((text) => said.push(text.trim())));
  } catch (error) {
    said.push(error.message);
    count({ failed: 1 });
  }
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  const lines = [...said.filter((text) => text !== ""), `── ${name}: ${seconds} s; so far ${totals.passed} passed`];
  console.error(`${lines.join("\n")}, ${totals.failed} failed`);
}

/** A command that passes or fails as one test. */
async function check(name, command, args) {
  await suite(name, async (say) => {
    const { status, text } = await start(command, args, { allowFailure: true });
    if (status === 0) return { passed: 1 };
    say(text);
    return { failed: 1 };
  });
}

const sum = (text, pattern) => [...text.matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0);

/** In a release build, whose dependencies the native library needs too; with the checks of a debug build in what is ours. */
async function rust(say) {
  const checked = ["kernels", "kernels-cuda"].map(
    (name) => `--config=profile.release.package.${name}.debug-assertions=true`,
  );
  // The crate for wasm has no tests, and its macros would have others compiled anew.
  const words = ["test", "--release", "--quiet", "--workspace", "--exclude", "kernels-wasm", ...checked];
  const { status, text } = await start("cargo", words, { allowFailure: true });
  if (status !== 0) say(text.slice(-8000));
  const failed = sum(text, /; (\d+) failed;/g);
  return { passed: sum(text, /(\d+) passed;/g), failed: status !== 0 && failed === 0 ? 1 : failed };
}

async function vitest(say, name, ...words) {
  const file = join(tmpdir(), `welltempered-vitest-${process.pid}-${name}.json`);
  const options = ["run", ...words, "--reporter=json", `--outputFile.json=${file}`];
  const { text } = await start("node_modules/.bin/vitest", options, { allowFailure: true });
  if (!existsSync(file)) throw new Error(text.slice(-8000));
  const report = JSON.parse(readFileSync(file, "utf8"));
  rmSync(file, { force: true });
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  for (const { name, assertionResults } of report.testResults) {
    for (const { fullName, status, failureMessages } of assertionResults) {
      if (status === "failed") say(`${name}: ${fullName}: ${failureMessages.join(" ").slice(0, 1000)}`);
    }
  }
  for (const { name, message } of broken) say(`${name}: ${message}`);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests,
  };
}

/** Every kernel by NVRTC and ptxas, which pip brings. */
async function cuda(say) {
  const reason = process.platform === "linux" && process.arch === "x64" ? pythonMissing() : "no wheels of ptxas";
  if (reason !== undefined) {
    say(`the kernels for NVIDIA GPUs are not compiled: ${reason}`);
    return { skipped: 1 };
  }
  await python("cuda");
  const { status, text } = await start(process.execPath, ["tools/cuda-registers.mjs"], { allowFailure: true });
  say(status === 0 ? text.trim().split("\n").at(-1) : text.slice(-8000));
  return status === 0 ? { passed: 1 } : { failed: 1 };
}

const environments = new Map();

/** The interpreter of an environment, which is made first where it is absent. */
function python(name) {
  if (!environments.has(name)) environments.set(name, start(process.execPath, ["tools/python/setup.mjs", name]));
  return environments.get(name).then(({ text }) => text.trim().split("\n").at(-1));
}

async function interop(say) {
  const reason = pythonMissing();
  if (reason !== undefined) return missing(say, "Python interop", reason);
  const words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/interop"];
  const { status, text } = await start(await python("reference"), words, {
    allowFailure: true,
    env: {
      OMP_NUM_THREADS: "2",
      HF_HUB_OFFLINE: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      TEMPER_SMOLLM2: await fetchSmolLM2(),
    },
  });
  say(status === 0 ? text.trim().split("\n").at(-1) : text.slice(-6000));
  const failed = sum(text, /(\d+) failed/g) + sum(text, /(\d+) error/g);
  return { passed: sum(text, /(\d+) passed/g), failed: status !== 0 && failed === 0 ? 1 : failed };
}

/** A suite that needs what a machine may lack is skipped where it does, and failed in CI. */
function missing(say, what, reason) {
  say(`the ${what} suite is skipped: ${reason}`);
  return ci ? { failed: 1 } : { skipped: 1 };
}

function browser(say) {
  const reason = buildWasm() ?? chromiumMissing();
  if (reason !== undefined) return missing(say, "browser", reason);
  return vitest(say, "browser", "--config", "tests/browser/vitest.config.ts");
}

// Beside each other, as none keeps two cores busy all the time: what one core compiles and Python, which waits for itself,
// what Node does, and the wasm kernels, which few suites wait for.
const ready = check("set-up", process.execPath, ["tools/setup.mjs", "--without-wasm"]);
const wasmReady = check("WebAssembly, compiled", process.execPath, ["tools/build-wasm.mjs"]);
// For later: where it is absent, that is 5 GB from the network. The suite that needs it says what went wrong.
if (pythonMissing() === undefined) python("reference").catch(() => undefined);

async function compiled() {
  await check("rustfmt", "cargo", ["fmt", "--all", "--check"]);
  await check("clippy", "cargo", ["clippy", "--workspace", "--lib", "--tests", "--quiet", "--", "-D", "warnings"]);
  await suite("Rust", rust);
  await suite("CUDA, compiled", cuda);
  await ready;
  await suite("Python interop", interop);
}

async function executed() {
  await ready;
  await check("oxlint", "node_modules/.bin/oxlint", ["--deny-warnings"]);
  await check("oxfmt", "node_modules/.bin/oxfmt", ["--check"]);
  await check("boundaries", process.execPath, ["tools/boundaries.mjs"]);
  await suite("TypeScript", (say) => vitest(say, "most", "--project", "most"));
  await wasmReady;
  const projects = ["--project", "wasm", "--project", "backends"];
  await suite("TypeScript, every backend", (say) => vitest(say, "backends", ...projects));
  await suite("Browser", browser);
}

await Promise.all([compiled(), executed()]);

console.log(
  `${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ""}`,
);
process.exit(totals.failed === 0 ? 0 : 1);
