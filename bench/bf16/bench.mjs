// One LoRA step in f32 and one with `bf16: true` in turn, both ours.
import { cpu } from "../lib/machine.mjs";
import { figure, gigabytes } from "../lib/report.mjs";
import { largestDifference } from "../lib/statistics.mjs";
import { inTurn, settingsOf, speedRatio } from "../lora-step/variants.mjs";

export async function run({ rounds = "7", threads = "2", shape = "135m" } = {}) {
  const { f32, bf16 } = await inTurn({ f32: {}, bf16: { bf16: true } }, { rounds, threads, shape });
  const ratio = speedRatio(bf16, f32);
  const difference = largestDifference(bf16.losses, f32.losses);
  const multiplies = cpu().instructions.includes("avx512_bf16");
  const [floor, target] = multiplies ? [1.3, 1.6] : [0.95, 1];
  const gradients = Math.min(...bf16.gradNorms, ...f32.gradNorms) > 0;
  return {
    settings: settingsOf({ rounds, threads, shape }),
    f32,
    bf16,
    ratio,
    difference,
    table: [
      ["tokens/s, f32", figure(f32.tokensPerSecond, 0)],
      ["tokens/s, bf16", figure(bf16.tokensPerSecond, 0)],
      ["ratio of each round", figure(ratio, 3)],
      ["peak memory", `${gigabytes(f32.peakMemoryBytes)} and ${gigabytes(bf16.peakMemoryBytes)}`],
      ["losses differ by", difference.toExponential(1)],
    ],
    goals: [
      { what: "losses equal to 5e-3, gradients not zero", reached: difference <= 5e-3 && gradients },
      { what: `at least ${floor} × the tokens/s of f32`, reached: ratio.median >= floor },
      { what: `target: ${target} × the tokens/s of f32`, reached: ratio.median >= target },
    ],
  };
}
