// Steps of ours under different keys in turn, on the same weights, adapter and token ids.
import { join } from "node:path";
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { root } from "../../tools/lib.mjs";
import { Child } from "../lib/child.mjs";
import { summary } from "../lib/statistics.mjs";
import { inputs } from "./bench.mjs";
import { learningRate, lora, maxGradNorm, shapes } from "./shapes.mjs";

/** Arguments for node: ours.mjs on a folder of inputs. */
export const oursOn = (folder, threads, keys = {}, ...more) => [
  join(root, "bench/lora-step/ours.mjs"),
  folder,
  threads,
  String(learningRate),
  String(maxGradNorm),
  JSON.stringify(keys),
  ...more,
];

/**
 * Rounds of one step of each variant. The first round warms up: its losses count, its times do not.
 * @param variants name → keys of the YAML
 */
export async function inTurn(variants, { rounds, threads, shape }) {
  const { model, rows, length } = shapes[shape];
  const steps = Number(rounds) + 1;
  const folder = inputs(pythonEnvironment(), { model, rows, length, steps, ...lora });
  const sides = Object.entries(variants).map(([name, keys]) => {
    return { name, child: new Child(process.execPath, oursOn(folder, threads, keys)), answers: [] };
  });
  for (const { child } of sides) await child.answer();
  for (let step = 0; step < steps; step++) {
    for (const { child, answers } of sides) answers.push(await child.ask({ step }));
  }
  const measured = sides.map(({ name, child, answers }) => [name, column(answers, child.peakMemory(), rows * length)]);
  await Promise.all(sides.map(({ child }) => child.close()));
  return Object.fromEntries(measured);
}

function column(answers, peakMemoryBytes, tokens) {
  const seconds = answers.slice(1).map((answer) => answer.seconds);
  return {
    tokensPerSecond: summary(seconds.map((time) => tokens / time)),
    peakMemoryBytes,
    losses: answers.map(({ loss }) => loss),
    gradNorms: answers.map(({ gradNorm }) => gradNorm),
  };
}

/** Tokens/s of one over those of the other, round by round. */
export const speedRatio = (a, b) =>
  summary(a.tokensPerSecond.values.map((speed, round) => speed / b.tokensPerSecond.values[round]));

/** What a result of `inTurn` was measured with. */
export const settingsOf = ({ rounds, threads, shape }) => ({
  shape,
  ...shapes[shape],
  ...lora,
  targets: "all-linear",
  threads: Number(threads),
  rounds: Number(rounds),
});
