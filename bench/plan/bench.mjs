// What `temper plan` says against what `temper train` then takes: peak resident memory and seconds a step.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { root } from "../../tools/lib.mjs";
import { peakMemory } from "../lib/child.mjs";
import { gigabytes } from "../lib/report.mjs";
import { quantile } from "../lib/statistics.mjs";
import { command, temper } from "../lib/temper.mjs";
import { data, model } from "./inputs.mjs";

const smollm2 = join(root, ".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");

const packed = ["dataset=docker", "packing=true", "cutoff_len=512", "per_device_train_batch_size=2"];
const short = ["dataset=docker", "cutoff_len=256", "per_device_train_batch_size=8"];

/** Name → words of the command line. */
const configurations = {
  "LoRA, 2 × 512 tokens, f32": packed,
  "LoRA, 2 × 512 tokens, bf16": [...packed, "bf16=true"],
  "QLoRA nf4, 2 × 512 tokens": [...packed, "quantization_bit=4"],
  "full, 2 × 256 tokens": [
    "dataset=docker",
    "packing=true",
    "cutoff_len=256",
    "per_device_train_batch_size=2",
    "finetuning_type=full",
  ],
  "LoRA, 8 short rows": short,
  "LoRA, 4 × 2 short rows accumulated": [
    "dataset=docker",
    "cutoff_len=256",
    "per_device_train_batch_size=2",
    "gradient_accumulation_steps=4",
  ],
  "dpo, 4 pairs": ["stage=dpo", "dataset=pairs", "cutoff_len=256", "per_device_train_batch_size=4"],
};
const common = ["do_train=true", "template=default", "logging_steps=1", "save_strategy=no", "lora_rank=8", "seed=7"];

/** Steps apart from the first, which pays for memory. In every round each configuration is planned and then run. */
export async function run({ steps = "5", threads = "2", rounds = "3" } = {}) {
  const folder = await model();
  const where = [`model_name_or_path=${folder}`, `dataset_dir=${data()}`];
  const words = Object.entries(configurations).map(([name, own]) => [name, [...common, ...where, ...own]]);
  if (existsSync(smollm2)) {
    const docker = [
      "examples/docker-smollm2.yaml",
      `model_name_or_path=${smollm2}`,
      "logging_steps=1",
      "plot_loss=false",
    ];
    words.push(["SmolLM2-135M Q4_1, examples/docker-smollm2.yaml", docker]);
  }
  const rows = words.map(([name]) => ({ name, rounds: [] }));
  for (let round = 0; round < Number(rounds); round++)
    for (const [at, [, own]] of words.entries())
      rows[at].rounds.push(await compare([...own, `max_steps=${Number(steps) + 1}`, `threads=${threads}`]));
  const settings = { steps: Number(steps), threads: Number(threads), rounds: Number(rounds) };
  return describe(rows.map(inTheMiddle), settings);
}

async function compare(words) {
  const forecast = plan(words);
  return { forecast, measured: await train(words) };
}

/** Medians over all rounds: a machine that others use changes its speed between the plan and the steps. */
function inTheMiddle({ name, rounds }) {
  const median = (values) => quantile(values, 0.5);
  const predicted = {
    peakMemoryBytes: median(rounds.map(({ forecast }) => forecast.memory.peak)),
    secondsPerStep: median(rounds.map(({ forecast }) => forecast.time.secondsPerStep)),
  };
  const measured = {
    peakMemoryBytes: median(rounds.map(({ measured }) => measured.peakMemoryBytes)),
    secondsPerStep: median(rounds.flatMap(({ measured }) => measured.seconds)),
  };
  return {
    name,
    predicted,
    measured,
    memoryRatio: predicted.peakMemoryBytes / measured.peakMemoryBytes,
    timeRatio: predicted.secondsPerStep / measured.secondsPerStep,
    rounds,
  };
}

function plan(words) {
  return JSON.parse(command(process.execPath, [temper, "plan", ...words, "--json"], { quiet: true }));
}

/** Runs the command and watches its events. */
async function train(words) {
  const out = mkdtempSync(join(tmpdir(), "bench-plan-"));
  try {
    const args = [temper, "train", ...words, `output_dir=${out}`, "--json"];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    const exit = new Promise((resolve) => child.once("exit", resolve));
    const [times, losses] = [[], []];
    let peak = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line);
      if (child.exitCode === null && event.type !== "run-end") peak = Math.max(peak, peakMemory(child.pid));
      if (event.type !== "log" || event.loss === undefined) continue;
      times.push(performance.now() / 1000);
      losses.push(event.loss);
    }
    if ((await exit) !== 0) throw new Error("bench: temper train failed");
    const seconds = times.slice(1).map((time, at) => time - times[at]);
    return { peakMemoryBytes: peak, seconds, losses };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function describe(configurations, settings) {
  const ratios = (field) => configurations.map((row) => row[field]);
  const within = (field, share) => ratios(field).every((ratio) => ratio <= 1 + share && ratio >= 1 - share);
  const line = ({ name, predicted, measured, memoryRatio, timeRatio }) => [
    name,
    `${gigabytes(predicted.peakMemoryBytes)} and ${gigabytes(measured.peakMemoryBytes)}, ${memoryRatio.toFixed(2)};  ` +
      `${predicted.secondsPerStep.toFixed(2)} and ${measured.secondsPerStep.toFixed(2)} s a step, ${timeRatio.toFixed(2)}`,
  ];
  const median = (field) => quantile(ratios(field), 0.5).toFixed(3);
  return {
    settings,
    configurations,
    table: [
      ["planned and measured", "ratio"],
      ...configurations.map(line),
      ["median of the ratios", `memory ${median("memoryRatio")}, time ${median("timeRatio")}`],
    ],
    goals: [
      {
        what: "at least 6 configurations, losses finite",
        reached:
          configurations.length >= 6 &&
          configurations.every(({ rounds }) => rounds.every(({ measured }) => measured.losses.every(Number.isFinite))),
      },
      { what: "memory within 20 % (floor)", reached: within("memoryRatio", 0.2) },
      { what: "time within 20 % (floor)", reached: within("timeRatio", 0.2) },
      { what: "memory within 10 % (target)", reached: within("memoryRatio", 0.1) },
      { what: "time within 10 % (target)", reached: within("timeRatio", 0.1) },
    ],
  };
}
