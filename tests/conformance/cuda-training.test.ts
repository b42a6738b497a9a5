// Twenty steps of the tiny Llama on the cuda backend give the curve that the CPU gives, in 16 bits within their rounding.

import { loadConfig } from "@welltempered/config";
import { describeBackends } from "@welltempered/kernels";
import { runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import "./emulator.ts";

const fixtures = new URL("../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-cuda-training-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const STEPS = 20;
const common = [
  `model_name_or_path=${join(fixtures, "qlora/model")}`,
  `dataset_dir=${join(fixtures, "llamafactory/data")}`,
  "dataset=alpaca_plain",
  "template=chatml",
  "do_train=true",
  `max_steps=${STEPS}`,
  "save_strategy=no",
  "logging_steps=1",
  "per_device_train_batch_size=2",
  "cutoff_len=64",
  "learning_rate=0.001",
  // A gradient of the size of epsilon would turn a last bit into a step.
  "adam_epsilon=0.00001",
];

interface Entry {
  loss: number;
  grad_norm: number;
}

async function curve(device: string, words: readonly string[]): Promise<Entry[]> {
  const folder = mkdtempSync(join(scratch, `${device}-`));
  const { config } = loadConfig([...common, ...words, `device=${device}`, `output_dir=${folder}`], "train");
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
  const state = JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as { log_history: Entry[] };
  return state.log_history.filter(({ loss }) => loss !== undefined);
}

const cuda = describeBackends().backends.find(({ name }) => name === "cuda");

describe.runIf(cuda?.available)(`on ${cuda?.detail ?? "cuda"}`, () => {
  it.each([
    ["LoRA with dropout", ["finetuning_type=lora", "lora_target=all", "lora_dropout=0.1"]],
    ["QLoRA", ["finetuning_type=lora", "lora_target=all", "quantization_bit=4", "double_quantization=true"]],
    // All columns are outliers: a last bit elsewhere would turn into another code.
    [
      "LoRA on LLM.int8",
      ["finetuning_type=lora", "lora_target=all", "quantization_bit=8", "llm_int8_threshold=0.000001"],
    ],
    ["full with 8-bit moments", ["finetuning_type=full", "optim=adamw_8bit"]],
  ])("%s learns what it learns on the CPU", async (_, words) => {
    const [ours, theirs] = [await curve("cuda", words), await curve("cpu", words)];
    expect(ours.length).toBe(STEPS);
    const apart = ours.map(({ loss }, i) => Math.abs(loss - (theirs[i]?.loss ?? Number.NaN)));
    expect(Math.max(...apart)).toBeLessThanOrEqual(2e-5);
    const norms = ours.map(({ grad_norm: norm }, i) => Math.abs(norm / (theirs[i]?.grad_norm ?? Number.NaN) - 1));
    expect(Math.max(...norms)).toBeLessThanOrEqual(1e-3);
    expect(ours.at(-1)?.loss).toBeLessThan(ours[0]?.loss as number);
  });

  // A norm carries the rounding of every product on its way, the mean over a step's tokens little of it.
  it.each([
    ["fp16=true", 1e-3, 2e-2],
    ["pure_bf16=true", 2e-2, 2e-1],
  ])("LoRA with %s learns what it learns in f32, not to the last digit", async (key, loss, norm) => {
    const lora = ["finetuning_type=lora", "lora_target=all"];
    const [ours, theirs] = [await curve("cuda", [...lora, key]), await curve("cuda", lora)];
    expect(ours.length).toBe(STEPS);
    const apart = ours.map((entry, i) => Math.abs(entry.loss - (theirs[i]?.loss ?? Number.NaN)));
    expect(Math.max(...apart)).toBeLessThanOrEqual(loss);
    expect(Math.max(...apart)).toBeGreaterThan(1e-6);
    const norms = ours.map((entry, i) => Math.abs(entry.grad_norm / (theirs[i]?.grad_norm ?? Number.NaN) - 1));
    expect(Math.max(...norms)).toBeLessThanOrEqual(norm);
    expect(ours.at(-1)?.loss).toBeLessThan(ours[0]?.loss as number);
  });
});
