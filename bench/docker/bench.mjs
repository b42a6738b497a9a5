// The training of examples/docker-smollm2.yaml: the temper command, and transformers + peft on the same batches, in turn.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "@welltempered/config";
import { warmupStepCount } from "@welltempered/optimizers";
import { fetchSmolLM2 } from "../../tools/fetch-smollm2.mjs";
import { hashFiles, root } from "../../tools/lib.mjs";
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { gigabytes } from "../lib/report.mjs";
import { largestDifference, summary } from "../lib/statistics.mjs";
import { command, train } from "../lib/temper.mjs";
import { batchesOf } from "./rows.mjs";

const yaml = "examples/docker-smollm2.yaml";
const here = "bench/docker";
const offline = { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" };

/** The model in float32 and an adapter to start from, made once. */
export function prepare(python, model, { loraRank, loraAlpha }) {
  const script = `${here}/make_adapter.py`;
  const key = hashFiles([join(root, script)]).slice(0, 12);
  const folder = join(root, ".cache/bench", `docker-${loraRank}-${loraAlpha}-${key}`);
  if (existsSync(join(folder, "adapter/adapter_model.safetensors"))) return folder;
  mkdirSync(folder, { recursive: true });
  command(python, [script, model, folder, String(loraRank), String(loraAlpha)], { env: offline });
  return folder;
}

/** @param options `steps` cuts the job short; `rounds` repeats it, both sides in turn */
export async function run({ steps, rounds = "1", threads = "2" } = {}) {
  const python = pythonEnvironment();
  const model = await fetchSmolLM2();
  const words = steps === undefined ? [] : [`max_steps=${steps}`];
  const { config } = loadConfig([yaml, ...words]);
  const folder = prepare(python, model, config);
  const batches = batchesOf(config);
  const job = JSON.stringify({
    batches,
    threads: Number(threads),
    learningRate: config.learningRate,
    maxGradNorm: config.maxGradNorm,
    scheduler: config.lrSchedulerType,
    warmupSteps: warmupStepCount(config.warmupSteps, config.warmupRatio, batches.length),
  });
  const measured = { ours: [], reference: [] };
  for (let round = 0; round < Number(rounds); round++) {
    measured.ours.push(train(yaml, [...words, `adapter_name_or_path=${folder}/adapter`, `threads=${threads}`]));
    const env = { ...offline, OMP_NUM_THREADS: threads };
    measured.reference.push(JSON.parse(command(python, [`${here}/reference.py`, folder], { input: job, env })));
  }
  return describe({ measured, batches, config, threads, whole: steps === undefined });
}

function describe({ measured, batches, config, threads, whole }) {
  const sides = { ours: measured.ours, reference: measured.reference };
  const tokens = batches.flat().reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  const paddedTokens = batches.reduce(
    (sum, rows) => sum + rows.length * Math.max(...rows.map(({ inputIds }) => inputIds.length)),
    0,
  );
  const [ours, reference] = Object.values(sides).map((runs) => ({
    seconds: summary(runs.map(({ seconds }) => seconds)),
    secondsPerStep: runs.map(({ seconds }) => seconds / batches.length),
    tokensPerSecond: summary(runs.map(({ seconds }) => tokens / seconds)),
    peakMemoryBytes: Math.max(...runs.map(({ peakMemoryBytes }) => peakMemoryBytes)),
    losses: runs[0].losses,
    gradNorms: runs[0].gradNorms,
  }));
  const timeRatio = summary(measured.ours.map(({ seconds }, round) => seconds / measured.reference[round].seconds));
  const memoryRatio = ours.peakMemoryBytes / reference.peakMemoryBytes;
  const difference = {
    loss: largestDifference(ours.losses, reference.losses),
    firstLoss: largestDifference(ours.losses.slice(0, 1), reference.losses.slice(0, 1)),
    firstGradNorm: largestDifference(ours.gradNorms.slice(0, 1), reference.gradNorms.slice(0, 1)),
    meanLoss: largestDifference([mean(ours.losses)], [mean(reference.losses)]),
  };
  const text = ({ median, range }) => `${median.toFixed(1)} s (${range.map((x) => x.toFixed(1)).join(" … ")})`;
  return {
    ...(whole ? {} : { variant: `${batches.length}-steps` }),
    settings: {
      yaml,
      steps: batches.length,
      batchSize: config.perDeviceTrainBatchSize,
      tokens,
      paddedTokens,
      threads: Number(threads),
      rounds: measured.ours.length,
    },
    versions: measured.reference[0].versions,
    ours: { ...ours, wallSeconds: summary(measured.ours.map(({ wallSeconds }) => wallSeconds)) },
    reference,
    timeRatio,
    memoryRatio,
    difference,
    table: [
      ["job", `${batches.length} steps, ${tokens} tokens (${paddedTokens} with padding)`],
      ["training, ours", text(ours.seconds)],
      ["training, transformers + peft", text(reference.seconds)],
      ["time, ours : reference", timeRatio.values.map((x) => x.toFixed(3)).join(" ")],
      [
        "peak memory",
        `${gigabytes(ours.peakMemoryBytes)} and ${gigabytes(reference.peakMemoryBytes)}, ratio ${memoryRatio.toFixed(3)}`,
      ],
      [
        "loss, last",
        `${ours.losses.at(-1)} and ${reference.losses.at(-1)}; mean differs by ${difference.meanLoss.toExponential(1)}`,
      ],
      [
        "first step differs by",
        `${difference.firstLoss.toExponential(1)} (loss), ${difference.firstGradNorm.toExponential(1)} (gradient norm)`,
      ],
    ],
    goals: [
      {
        what: "first loss and gradient norm equal (1e-4, 1e-3), mean loss to 1 %",
        reached:
          difference.firstLoss <= 1e-4 &&
          difference.firstGradNorm <= 1e-3 &&
          difference.meanLoss <= 1e-2 &&
          ours.gradNorms.every((norm) => norm > 0),
      },
      { what: "at most 0.9 of the reference's time", reached: timeRatio.median <= 0.9 },
    ],
  };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
