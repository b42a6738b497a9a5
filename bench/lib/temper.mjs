// The temper command, watched from outside.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../tools/lib.mjs";

export const temper = join(root, "packages/cli/bin/temper.js");

/** Runs a program from the checkout; returns what it printed. @throws where it does not end with 0 */
export function command(name, args, { input, env = {}, quiet = false } = {}) {
  const { status, stdout, stderr, error } = spawnSync(name, args, {
    cwd: root,
    input: input ?? "",
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", quiet ? "pipe" : "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0)
    throw new Error(`bench: ${args[0]} exited with ${status ?? error?.message}: ${stderr?.slice(-2000) ?? ""}`);
  return stdout;
}

/** Runs a command and prints the kilobytes it held at most. */
const watch = `
import resource, subprocess, sys
result = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(result.returncode)
`;

/** Runs a command that trains into a folder of its own. `seconds` is the training loop, `wallSeconds` all of the command. */
export function trainingRun(name, argumentsFor, env = {}) {
  const output = mkdtempSync(join(tmpdir(), "temper-bench-"));
  try {
    const started = Date.now();
    const kilobytes = command("python3", ["-c", watch, name, ...argumentsFor(output)], { env, quiet: true });
    const wallSeconds = (Date.now() - started) / 1000;
    const results = JSON.parse(readFileSync(join(output, "train_results.json"), "utf8"));
    const { log_history } = JSON.parse(readFileSync(join(output, "trainer_state.json"), "utf8"));
    const logs = log_history.filter(({ loss }) => loss !== undefined);
    return {
      seconds: results.train_runtime,
      wallSeconds,
      peakMemoryBytes: Number(kilobytes) * 1024,
      losses: logs.map(({ loss }) => loss),
      gradNorms: logs.map(({ grad_norm }) => grad_norm),
    };
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

/** `temper train`, logging every step. */
export const train = (yaml, words) =>
  trainingRun(
    process.execPath,
    (output) => [
      temper,
      "train",
      yaml,
      "logging_steps=1",
      "plot_loss=false",
      ...words,
      `output_dir=${output}`,
      "overwrite_output_dir=true",
    ],
    { NO_COLOR: "1" },
  );

/** Milliseconds from the start of `temper train` to its first finished step, and to its end after that step. */
export async function firstStep(yaml, words) {
  const output = mkdtempSync(join(tmpdir(), "temper-bench-"));
  try {
    const started = performance.now();
    const run = spawn(
      process.execPath,
      [temper, "train", yaml, ...words, "max_steps=1", "logging_steps=1", "plot_loss=false", `output_dir=${output}`],
      { cwd: root, env: { ...process.env, NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"] },
    );
    let [step, text] = [undefined, ""];
    const read = (chunk) => {
      text += chunk;
      if (step === undefined && /^step\s+1\/1\b/m.test(text)) step = performance.now() - started;
    };
    run.stdout.on("data", read);
    run.stderr.on("data", read);
    const status = await new Promise((resolve) => run.once("close", resolve));
    if (status !== 0 || step === undefined) throw new Error(`bench: temper train ended with ${status}: ${text}`);
    return { step, end: performance.now() - started };
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}
