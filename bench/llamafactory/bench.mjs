// The Docker set with LlamaFactory itself and with temper: one YAML, one adapter to start from, the defaults of both.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadConfig } from "@welltempered/config";
import { fetchSmolLM2 } from "../../tools/fetch-smollm2.mjs";
import { root } from "../../tools/lib.mjs";
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { prepare } from "../docker/bench.mjs";
import { gigabytes } from "../lib/report.mjs";
import { largestDifference, summary } from "../lib/statistics.mjs";
import { train, trainingRun } from "../lib/temper.mjs";
import { smolLM2Folder } from "../start/bench.mjs";

const docker = "examples/docker-smollm2.yaml";

/** The defaults but for what the job is: batch 8, 3 epochs, rank 16, a cut of the rows, in their order. */
const job = (model, adapter, rows) => ({
  model_name_or_path: model,
  adapter_name_or_path: adapter,
  template: "smollm2",
  stage: "sft",
  do_train: true,
  finetuning_type: "lora",
  dataset_dir: join(root, "examples/data"),
  dataset: "docker_train",
  max_samples: rows,
  disable_shuffling: true,
  per_device_train_batch_size: 8,
  num_train_epochs: 3,
  learning_rate: 0.001,
  lr_scheduler_type: "cosine",
  warmup_ratio: 0.05,
  logging_steps: 1,
  save_strategy: "no",
  report_to: "none",
});

/** LlamaFactory's own command on the same YAML. */
function theirs(python, yaml, threads) {
  const env = {
    OMP_NUM_THREADS: threads,
    DISABLE_VERSION_CHECK: "1",
    HF_HUB_OFFLINE: "1",
    TOKENIZERS_PARALLELISM: "false",
  };
  const cli = join(dirname(python), "llamafactory-cli");
  return trainingRun(cli, (output) => ["train", yaml, `output_dir=${output}`, "overwrite_output_dir=true"], env);
}

/** @param options `steps` counts those of an epoch */
export async function run({ steps = "6", rounds = "2", threads = "2" } = {}) {
  const [python, gguf] = [pythonEnvironment("llamafactory"), await fetchSmolLM2()];
  const { config } = loadConfig([docker]);
  const adapter = join(prepare(pythonEnvironment(), gguf, config), "adapter");
  const folder = mkdtempSync(join(tmpdir(), "bench-llamafactory-"));
  const yaml = join(folder, "job.yaml");
  const rows = 8 * Number(steps);
  writeFileSync(yaml, JSON.stringify(job(await smolLM2Folder("float32"), adapter, rows)));
  const measured = { ours: [], theirs: [] };
  try {
    for (let round = 0; round < Number(rounds); round++) {
      measured.ours.push(train(yaml, [`threads=${threads}`]));
      measured.theirs.push(theirs(python, yaml, threads));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return describe(measured, { rows, epochs: 3, batchSize: 8, threads: Number(threads), rounds: Number(rounds) });
}

/** Mean of the last epoch: single steps at a loss near 0 say little. */
const finalLoss = (losses) => {
  const last = losses.slice(-Math.ceil(losses.length / 3));
  return last.reduce((sum, loss) => sum + loss, 0) / last.length;
};

function describe({ ours, theirs }, settings) {
  const ratioOf = (field) => summary(theirs.map((run, round) => run[field] / ours[round][field]));
  const [ratio, wallRatio] = [ratioOf("seconds"), ratioOf("wallSeconds")];
  const final = { ours: finalLoss(ours[0].losses), theirs: finalLoss(theirs[0].losses) };
  const difference = {
    firstLoss: largestDifference(ours[0].losses.slice(0, 1), theirs[0].losses.slice(0, 1)),
    finalLoss: largestDifference([final.ours], [final.theirs]),
  };
  const [mine, other] = [ours, theirs].map((runs) => Math.max(...runs.map((run) => run.peakMemoryBytes)));
  const seconds = (field) =>
    `${summary(ours.map((run) => run[field])).median.toFixed(1)} and ${summary(theirs.map((run) => run[field])).median.toFixed(1)} s`;
  return {
    settings: { ...settings, steps: ours[0].losses.length, llamafactory: "0.9.5" },
    ours,
    theirs,
    ratio,
    wallRatio,
    final,
    difference,
    memoryRatio: mine / other,
    table: [
      ["training, ours and LlamaFactory", seconds("seconds")],
      ["the whole command", seconds("wallSeconds")],
      ["times as fast: training, command", `${ratio.median.toFixed(2)}, ${wallRatio.median.toFixed(2)}`],
      ["peak memory", `${gigabytes(mine)} and ${gigabytes(other)}, ratio ${(mine / other).toFixed(3)}`],
      [
        "loss, last epoch",
        `${final.ours.toFixed(5)} and ${final.theirs.toFixed(5)}; differs by ${difference.finalLoss.toExponential(1)}`,
      ],
      ["first loss differs by", difference.firstLoss.toExponential(1)],
    ],
    goals: [
      {
        what: "final loss equal to 1 %, gradients not zero",
        reached: difference.finalLoss <= 0.01 && Math.min(...ours[0].gradNorms) > 0,
      },
      { what: "training at least 2 × as fast", reached: ratio.median >= 2 },
      { what: "target: training 3 × as fast", reached: ratio.median >= 3 },
    ],
  };
}
