// One LoRA step over an f32 base and one over the same base in nf4 in turn, both ours: what the codec saves and costs.
import { figure, gigabytes } from "../lib/report.mjs";
import { shapes } from "../lora-step/shapes.mjs";
import { inTurn, settingsOf, speedRatio } from "../lora-step/variants.mjs";

/** Bytes a weight in nf4 with double quantisation: a code, and a byte of scale for 64. */
const bytesPerWeight = 1 / 2 + 1 / 64;

/** Weights of all linear layers but the head. */
function quantised({ hidden_size: d, intermediate_size: f, num_hidden_layers: layers, ...heads }) {
  const keys = (d / heads.num_attention_heads) * heads.num_key_value_heads;
  return layers * (2 * d * d + 2 * d * keys + 3 * d * f);
}

export async function run({ rounds = "7", threads = "2", shape = "135m" } = {}) {
  const variants = { f32: {}, nf4: { quantization_bit: 4, quantization_type: "nf4" } };
  const { f32, nf4 } = await inTurn(variants, { rounds, threads, shape });
  const ratio = speedRatio(nf4, f32);
  const weightBytesSaved = quantised(shapes[shape].model) * (4 - bytesPerWeight);
  const shareOfSaving = (f32.peakMemoryBytes - nf4.peakMemoryBytes) / weightBytesSaved;
  return {
    settings: settingsOf({ rounds, threads, shape }),
    f32,
    nf4,
    ratio,
    weightBytesSaved,
    shareOfSaving,
    table: [
      ["tokens/s, f32 base", figure(f32.tokensPerSecond, 0)],
      ["tokens/s, nf4 base", figure(nf4.tokensPerSecond, 0)],
      ["ratio of each round", figure(ratio, 3)],
      ["peak memory", `${gigabytes(f32.peakMemoryBytes)} and ${gigabytes(nf4.peakMemoryBytes)}`],
      ["share of the saved weight bytes", shareOfSaving.toFixed(3)],
    ],
    goals: [
      { what: "at least 85 % of the weight bytes that nf4 saves", reached: shareOfSaving >= 0.85 },
      { what: "at least 0.90 × the tokens/s of the f32 base", reached: ratio.median >= 0.9 },
      { what: "target: 0.95 × the tokens/s of the f32 base", reached: ratio.median >= 0.95 },
    ],
  };
}
