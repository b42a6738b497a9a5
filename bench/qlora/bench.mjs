// One LoRA step over an f32 base and one over the same base in nf4 in turn, both ours: what the codec saves and costs.
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { Child } from "../lib/child.mjs";
import { summary } from "../lib/statistics.mjs";
import { inputs } from "../lora-step/bench.mjs";
import { learningRate, lora, maxGradNorm, shapes } from "../lora-step/shapes.mjs";

/** Bytes a weight in nf4 with double quantisation: a code, and a byte of scale for 64. */
const bytesPerWeight = 1 / 2 + 1 / 64;

/** Weights of all linear layers but the head. */
function quantised({ hidden_size: d, intermediate_size: f, num_hidden_layers: layers, ...heads }) {
  const keys = (d / heads.num_attention_heads) * heads.num_key_value_heads;
  return layers * (2 * d * d + 2 * d * keys + 3 * d * f);
}

/** Rounds of one step each, f32 first. The first round warms up. */
export async function run({ rounds = "5", threads = "2", shape = "135m" } = {}) {
  const { model, rows, length } = shapes[shape];
  const steps = Number(rounds) + 1;
  const folder = inputs(pythonEnvironment(), { model, rows, length, steps, ...lora });
  const settings = ["bench/lora-step/ours.mjs", folder, threads, String(learningRate), String(maxGradNorm)];
  const sides = { f32: new Child(process.execPath, settings), nf4: new Child(process.execPath, [...settings, "nf4"]) };
  const answers = { f32: [], nf4: [] };
  for (const side of Object.values(sides)) await side.answer();
  for (let step = 0; step < steps; step++) {
    for (const [name, side] of Object.entries(sides)) answers[name].push(await side.ask({ step }));
  }
  const peak = { f32: sides.f32.peakMemory(), nf4: sides.nf4.peakMemory() };
  await Promise.all(Object.values(sides).map((side) => side.close()));
  const seconds = (name) => answers[name].slice(1).map((answer) => answer.seconds);
  const side = (name) => ({
    tokensPerSecond: summary(seconds(name).map((time) => (rows * length) / time)),
    peakMemoryBytes: peak[name],
    losses: answers[name].map(({ loss }) => loss),
  });
  const ratio = summary(seconds("f32").map((time, round) => time / seconds("nf4")[round]));
  const weightBytesSaved = quantised(model) * (4 - bytesPerWeight);
  const shareOfSaving = (peak.f32 - peak.nf4) / weightBytesSaved;
  const result = { f32: side("f32"), nf4: side("nf4"), ratio, weightBytesSaved, shareOfSaving };
  return {
    settings: { shape, ...shapes[shape], ...lora, targets: "all-linear", threads: Number(threads), rounds: steps - 1 },
    ...result,
    goals: [
      { what: "at least 85 % of the weight bytes that nf4 saves", reached: shareOfSaving >= 0.85 },
      { what: "at least 0.85 × the tokens/s of the f32 base", reached: ratio.median >= 0.85 },
    ],
    table: [
      ["tokens/s, f32 base", result.f32.tokensPerSecond.median.toFixed(0)],
      ["tokens/s, nf4 base", result.nf4.tokensPerSecond.median.toFixed(0)],
      ["ratio of each round", `${ratio.median.toFixed(3)} (${ratio.range.map((x) => x.toFixed(2)).join(" … ")})`],
      ["peak memory", `${(peak.f32 / 1e9).toFixed(2)} and ${(peak.nf4 / 1e9).toFixed(2)} GB`],
      ["share of the saved weight bytes", shareOfSaving.toFixed(3)],
    ],
  };
}
