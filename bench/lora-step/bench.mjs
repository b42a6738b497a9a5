// One LoRA step of ours and one of transformers + peft in turn, on the same weights, adapter and token ids.
import { existsSync, mkdirSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { root } from "../../tools/lib.mjs";
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { Child } from "../lib/child.mjs";
import { figure, gigabytes } from "../lib/report.mjs";
import { largestDifference, summary } from "../lib/statistics.mjs";
import { command } from "../lib/temper.mjs";
import { learningRate, lora, maxGradNorm, shapes } from "./shapes.mjs";

const offline = { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" };
const here = "bench/lora-step";
/** Largest relative difference of the losses, and of the gradient norms. */
const tolerance = { float32: { loss: 1e-4, gradNorm: 1e-3 }, bfloat16: { loss: 5e-3, gradNorm: 5e-2 } };
/** Tokens/s over those of the reference. */
const floor = { float32: 1.25, bfloat16: 1.2 };

/** Model, adapter and ids, made once for a description. */
export function inputs(python, description) {
  const text = JSON.stringify(description);
  const key = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const folder = join(root, ".cache/bench", `lora-step-${key}`);
  if (existsSync(join(folder, "ids.json"))) return folder;
  mkdirSync(folder, { recursive: true });
  command(python, [`${here}/make_inputs.py`, folder], { input: text, env: offline });
  return folder;
}

/**
 * Rounds of one step each, ours first. The first round warms up: its losses count, its times do not.
 * @returns what a result file of this bench holds beside the machine
 */
export async function run({ rounds = "7", threads = "2", shape = "135m", dtype = "float32", ours: own = dtype } = {}) {
  const python = pythonEnvironment();
  const { model, rows, length } = shapes[shape];
  const steps = Number(rounds) + 1;
  const folder = inputs(python, { model, rows, length, steps, ...lora });
  const settings = [folder, threads, String(learningRate), String(maxGradNorm)];
  const reference = new Child(python, [`${here}/reference.py`, ...settings, dtype], {
    ...offline,
    OMP_NUM_THREADS: threads,
  });
  const { versions, attention, cpuCapability, trainable } = await reference.answer();
  const keys = JSON.stringify({ bf16: own === "bfloat16" });
  const ours = new Child(process.execPath, [`${here}/ours.mjs`, ...settings, keys]);
  const same = await ours.answer();
  if (same.trainable !== trainable)
    throw new Error(`bench: ${same.trainable} numbers train here, ${trainable} in the reference`);
  const answers = { ours: [], reference: [] };
  for (let step = 0; step < steps; step++) {
    answers.ours.push(await ours.ask({ step }));
    answers.reference.push(await reference.ask({ step }));
  }
  const peak = { ours: ours.peakMemory(), reference: reference.peakMemory() };
  await Promise.all([ours.close(), reference.close()]);
  return describe({
    answers,
    peak,
    tokens: rows * length,
    dtype,
    own,
    shape,
    threads,
    steps,
    versions,
    attention,
    cpuCapability,
    trainable,
  });
}

function describe({
  answers,
  peak,
  tokens,
  dtype,
  own,
  shape,
  threads,
  steps,
  versions,
  attention,
  cpuCapability,
  trainable,
}) {
  const column = (side, field) => answers[side].map((answer) => answer[field]);
  const seconds = (side) => column(side, "seconds").slice(1);
  const speed = (side) => summary(seconds(side).map((time) => tokens / time));
  const ratio = summary(seconds("reference").map((time, round) => time / seconds("ours")[round]));
  const side = (name) => ({
    tokensPerSecond: speed(name),
    peakMemoryBytes: peak[name],
    losses: column(name, "loss"),
    gradNorms: column(name, "gradNorm"),
  });
  const [ours, reference] = [side("ours"), side("reference")];
  const memoryRatio = peak.ours / peak.reference;
  const difference = {
    loss: largestDifference(ours.losses, reference.losses),
    gradNorm: largestDifference(ours.gradNorms, reference.gradNorms),
  };
  const smallestNorm = Math.min(...ours.gradNorms, ...reference.gradNorms);
  const allowed = tolerance[[own, dtype].includes("bfloat16") ? "bfloat16" : "float32"];
  const equal = difference.loss <= allowed.loss && difference.gradNorm <= allowed.gradNorm;
  return {
    ...(own === dtype && dtype === "float32" ? {} : { variant: own === dtype ? dtype : `${own}-${dtype}` }),
    settings: {
      shape,
      ...shapes[shape],
      ...lora,
      targets: "all-linear",
      threads: Number(threads),
      rounds: steps - 1,
      learningRate,
      maxGradNorm,
      trainable,
      oursDtype: own,
      referenceDtype: dtype,
      referenceAttention: attention,
      referenceCpuCapability: cpuCapability,
    },
    versions,
    ours,
    reference,
    ratio,
    memoryRatio,
    difference,
    liveBytesAfterFirstAndLastStep: [column("ours", "liveBytes")[0], column("ours", "liveBytes").at(-1)],
    table: [
      [`tokens/s, ours ${own}`, figure(ours.tokensPerSecond, 0)],
      [`tokens/s, transformers + peft ${dtype}`, figure(reference.tokensPerSecond, 0)],
      ["ratio of each round", figure(ratio, 3)],
      ["peak memory", `${gigabytes(peak.ours)} and ${gigabytes(peak.reference)}, ratio ${memoryRatio.toFixed(3)}`],
      [
        "loss, first and last",
        `${ours.losses[0].toFixed(5)} … ${ours.losses.at(-1).toFixed(5)}; differs by ${difference.loss.toExponential(1)}`,
      ],
      [
        "gradient norm",
        `${ours.gradNorms[0].toFixed(5)} … ${ours.gradNorms.at(-1).toFixed(5)}; differs by ${difference.gradNorm.toExponential(1)}`,
      ],
    ],
    goals: [
      {
        what: `losses and gradient norms equal (${allowed.loss}, ${allowed.gradNorm}), gradients not zero`,
        reached: equal && smallestNorm > 0,
      },
      { what: `at least ${floor[dtype]} × the reference's tokens/s`, reached: ratio.median >= floor[dtype] },
      { what: "at most 45 % of the reference's peak memory", reached: memoryRatio <= 0.45 },
    ],
  };
}
