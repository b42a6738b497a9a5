// `share_prefixes` on and off in turn: the Docker set, and pairs of answers with long prompts.
import { rmSync } from "node:fs";
import { fetchSmolLM2 } from "../../tools/fetch-smollm2.mjs";
import { gigabytes } from "../lib/report.mjs";
import { largestDifference, summary } from "../lib/statistics.mjs";
import { train } from "../lib/temper.mjs";
import { makePairs } from "./pairs.mjs";

const yaml = "examples/docker-smollm2.yaml";
/** With the template 191 tokens of 257 are prompt. */
const pairs = { pairs: 16, promptWords: 160, answerWords: 64 };

const jobs = (folder) => ({
  docker: { floor: 1.3, words: ["max_steps=12"] },
  pairs: {
    floor: 1.4,
    words: [
      "stage=dpo",
      `dataset_dir=${folder}`,
      "dataset=pairs",
      "cutoff_len=512",
      "per_device_train_batch_size=2",
      "max_steps=3",
      "learning_rate=1.0e-4",
    ],
  },
});

/** Rounds of one short run each, on first. */
function measure(words, { rounds, threads }) {
  const sides = { on: [], off: [] };
  for (let round = 0; round < rounds; round++) {
    sides.on.push(train(yaml, [...words, "share_prefixes=true", `threads=${threads}`]));
    sides.off.push(train(yaml, [...words, "share_prefixes=false", `threads=${threads}`]));
  }
  const [on, off] = [sides.on, sides.off].map((runs) => ({
    seconds: summary(runs.map(({ seconds }) => seconds)),
    peakMemoryBytes: Math.max(...runs.map(({ peakMemoryBytes }) => peakMemoryBytes)),
    losses: runs[0].losses,
    gradNorms: runs[0].gradNorms,
  }));
  return {
    on,
    off,
    ratio: summary(off.seconds.values.map((seconds, round) => seconds / on.seconds.values[round])),
    difference: {
      firstLoss: largestDifference(on.losses.slice(0, 1), off.losses.slice(0, 1)),
      loss: largestDifference(on.losses, off.losses),
      gradNorm: largestDifference(on.gradNorms, off.gradNorms),
    },
  };
}

export async function run({ rounds = "3", threads = "2" } = {}) {
  await fetchSmolLM2();
  const folder = makePairs(pairs);
  try {
    const wanted = Object.entries(jobs(folder));
    const measured = wanted.map(([name, { words, floor }]) => {
      return { name, floor, ...measure(words, { rounds: Number(rounds), threads }) };
    });
    return describe(measured, { rounds: Number(rounds), threads: Number(threads) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const describe = (measured, settings) => ({
  settings: { yaml, ...pairs, ...settings },
  jobs: measured,
  table: measured.flatMap(({ name, on, off, ratio, difference }) => [
    [`${name}: time on and off`, `${on.seconds.median.toFixed(1)} and ${off.seconds.median.toFixed(1)} s`],
    [`${name}: ratio of each round`, ratio.values.map((x) => x.toFixed(2)).join(" ")],
    [`${name}: peak memory`, `${gigabytes(on.peakMemoryBytes)} and ${gigabytes(off.peakMemoryBytes)}`],
    [
      `${name}: differs by`,
      `${difference.firstLoss.toExponential(1)} (first loss), ${difference.loss.toExponential(1)} (losses), ` +
        `${difference.gradNorm.toExponential(1)} (gradient norms)`,
    ],
  ]),
  goals: measured.flatMap(({ name, floor, on, ratio, difference }) => [
    {
      what: `${name}: losses equal to 1e-5, gradients not zero`,
      reached: difference.loss <= 1e-5 && Math.min(...on.gradNorms) > 0,
    },
    { what: `${name}: at least ${floor} × as fast`, reached: ratio.median >= floor },
    { what: `target, ${name}: 1.6 × as fast`, reached: ratio.median >= 1.6 },
  ]),
});
