// QLoRA on a Llama of 1.2 billion weights: memory from the start to the third step.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../tools/lib.mjs";
import { models } from "../gpu/shapes.mjs";
import { Child } from "../lib/child.mjs";
import { gigabytes } from "../lib/report.mjs";
import { summary } from "../lib/statistics.mjs";
import { oursOn } from "../lora-step/variants.mjs";
import { makeModel } from "./make-model.mjs";

const model = models["Llama-3.2-1B"];
const quantised = { quantization_bit: 4, quantization_type: "nf4" };
const variants = { f32: quantised, bf16: { ...quantised, bf16: true } };

async function measure(folder, keys, { steps, length, threads }) {
  const child = new Child(process.execPath, oursOn(folder, threads, keys));
  const started = performance.now();
  await child.answer();
  const loadSeconds = (performance.now() - started) / 1000;
  const peakAfterLoading = child.peakMemory();
  const answers = [];
  for (let step = 0; step < steps; step++) answers.push(await child.ask({ step }));
  const peakMemoryBytes = child.peakMemory();
  await child.close();
  return {
    loadSeconds,
    peakAfterLoading,
    peakMemoryBytes,
    tokensPerSecond: summary(answers.slice(1).map(({ seconds }) => length / seconds)),
    losses: answers.map(({ loss }) => loss),
    gradNorms: answers.map(({ gradNorm }) => gradNorm),
  };
}

/** The model is made, 2.5 GB, and removed afterwards. */
export async function run({ steps = "3", threads = "2" } = {}) {
  const length = 512;
  const folder = join(root, ".cache/bench/large");
  const measured = {};
  try {
    makeModel(folder, { model, steps: Number(steps), rows: 1, length });
    for (const [name, keys] of Object.entries(variants))
      measured[name] = await measure(folder, keys, { steps: Number(steps), length, threads });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const finite = Object.values(measured).every(
    ({ losses, gradNorms }) => losses.every(Number.isFinite) && gradNorms.every((norm) => norm > 0),
  );
  return {
    settings: { model, rows: 1, length, r: 8, targets: "all-linear", threads: Number(threads), steps: Number(steps) },
    ...measured,
    table: Object.entries(measured).flatMap(
      ([name, { peakMemoryBytes, peakAfterLoading, tokensPerSecond, loadSeconds }]) => [
        [`peak memory, activations ${name}`, gigabytes(peakMemoryBytes)],
        [`loaded, ${name}`, `${gigabytes(peakAfterLoading)} at most, ${loadSeconds.toFixed(1)} s`],
        [`tokens/s, ${name}`, tokensPerSecond.median.toFixed(1)],
      ],
    ),
    goals: [
      { what: "losses finite, gradients not zero", reached: finite },
      ...Object.entries(measured).flatMap(([name, { peakMemoryBytes }]) => [
        { what: `${name}: at most 3 GB`, reached: peakMemoryBytes <= 3e9 },
        { what: `target, ${name}: at most 1.8 GB`, reached: peakMemoryBytes <= 1.8e9 },
      ]),
    ],
  };
}
