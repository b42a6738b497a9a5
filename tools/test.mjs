// npm test: sets everything up, runs every suite, ends with one line that any CI can read.
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromiumMissing } from "./browser.mjs";
import { buildWasm } from "./build-wasm.mjs";
import { fetchSmolLM2 } from "./fetch-smollm2.mjs";
import { run } from "./lib.mjs";
import { pythonEnvironment, pythonMissing } from "./python/setup.mjs";

const ci = process.env.CI === "true";
const totals = { passed: 0, failed: 0, skipped: 0 };

function count({ passed = 0, failed = 0, skipped = 0 }) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
}

/** One suite: its counts are added up; a crash of the suite itself is one failure. */
async function suite(name, body) {
  const started = Date.now();
  console.error(`\n── ${name}`);
  try {
    count(await body());
  } catch (error) {
    console.error(error.message);
    count({ failed: 1 });
  }
  console.error(
    `── ${name}: ${((Date.now() - started) / 1000).toFixed(0)} s; so far ${totals.passed} passed, ${totals.failed} failed`,
  );
}

/** A command that passes or fails as one test. */
async function check(name, command, args, env) {
  await suite(name, () => {
    const failed = run(command, args, { env, allowFailure: true }).status !== 0;
    return failed ? { failed: 1 } : { passed: 1 };
  });
}

const sum = (text, pattern) => [...text.matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0);

function rust() {
  const { status, stdout, stderr } = run("cargo", ["test", "--workspace", "--quiet"], {
    quiet: true,
    allowFailure: true,
  });
  const text = `${stdout}${stderr}`;
  if (status !== 0) console.error(text.slice(-8000));
  const failed = sum(text, /; (\d+) failed;/g);
  return { passed: sum(text, /(\d+) passed;/g), failed: status !== 0 && failed === 0 ? 1 : failed };
}

function vitest(...words) {
  const file = join(tmpdir(), `welltempered-vitest-${process.pid}.json`);
  run("node_modules/.bin/vitest", ["run", ...words, "--reporter=json", `--outputFile.json=${file}`], {
    allowFailure: true,
  });
  const report = JSON.parse(readFileSync(file, "utf8"));
  rmSync(file, { force: true });
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  for (const { name, assertionResults } of report.testResults) {
    for (const { fullName, status, failureMessages } of assertionResults) {
      if (status === "failed") console.error(`${name}: ${fullName}: ${failureMessages.join(" ").slice(0, 1000)}`);
    }
  }
  for (const { name, message } of broken) console.error(`${name}: ${message}`);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests,
  };
}

/** Every kernel by NVRTC and ptxas, which pip brings. */
function cuda() {
  const reason = process.platform === "linux" && process.arch === "x64" ? pythonMissing() : "no wheels of ptxas";
  if (reason !== undefined) {
    console.error(`the kernels for NVIDIA GPUs are not compiled: ${reason}`);
    return { skipped: 1 };
  }
  const { status, stdout, stderr } = run(process.execPath, ["tools/cuda-registers.mjs"], {
    quiet: true,
    allowFailure: true,
  });
  console.error(status === 0 ? stderr.trim() : `${stdout}${stderr}`.slice(-8000));
  return status === 0 ? { passed: 1 } : { failed: 1 };
}

async function interop() {
  const reason = pythonMissing();
  if (reason !== undefined) return missing("Python interop", reason);
  const python = pythonEnvironment();
  const { status, stdout } = run(python, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/interop"], {
    quiet: true,
    allowFailure: true,
    env: {
      OMP_NUM_THREADS: "2",
      HF_HUB_OFFLINE: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      TEMPER_SMOLLM2: await fetchSmolLM2(),
    },
  });
  console.error(stdout.slice(-6000));
  const failed = sum(stdout, /(\d+) failed/g) + sum(stdout, /(\d+) error/g);
  return { passed: sum(stdout, /(\d+) passed/g), failed: status !== 0 && failed === 0 ? 1 : failed };
}

/** A suite that needs what a machine may lack is skipped where it does, and failed in CI. */
function missing(what, reason) {
  console.error(`the ${what} suite is skipped: ${reason}`);
  return ci ? { failed: 1 } : { skipped: 1 };
}

function browser() {
  const reason = buildWasm() ?? chromiumMissing();
  return reason === undefined ? vitest("--config", "tests/browser/vitest.config.ts") : missing("browser", reason);
}

await check("set-up", process.execPath, ["tools/setup.mjs"]);
await check("oxlint", "node_modules/.bin/oxlint", ["--deny-warnings"]);
await check("oxfmt", "node_modules/.bin/oxfmt", ["--check"]);
await check("rustfmt", "cargo", ["fmt", "--all", "--check"]);
await check("clippy", "cargo", ["clippy", "--workspace", "--lib", "--tests", "--quiet", "--", "-D", "warnings"]);
await check("boundaries", process.execPath, ["tools/boundaries.mjs"]);
await suite("Rust", rust);
await suite("CUDA, compiled", cuda);
await suite("TypeScript", () => vitest());
await suite("Python interop", interop);
await suite("Browser", browser);

console.log(
  `${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ""}`,
);
process.exit(totals.failed === 0 ? 0 : 1);
