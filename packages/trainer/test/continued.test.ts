// A run continued from a checkpoint leaves the bytes of a whole one: weights, and the state of its optimizer.
import { openSafetensors } from "@welltempered/checkpoint";
import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-continued-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const common = [
  `model_name_or_path=${join(fixtures, "model")}`,
  `dataset_dir=${join(fixtures, "data")}`,
  "dataset=alpaca",
  "template=default",
  "do_train=true",
  "max_samples=16",
  "max_steps=6",
  "per_device_train_batch_size=1",
  "cutoff_len=32",
  "save_steps=2",
  "learning_rate=0.01",
  "weight_decay=0.1",
  "threads=1",
];

async function run(folder: string, words: readonly string[]): Promise<void> {
  const { config } = loadConfig([...common, ...words, `output_dir=${folder}`], "train");
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
}

const bytes = (...path: string[]): string => readFileSync(join(...path)).toString("base64");

it.each([
  ["freeze", "model", ["finetuning_type=freeze", "freeze_trainable_layers=1", "freeze_extra_modules=embed_tokens"]],
  ["adafactor", "model", ["finetuning_type=full", "optim=adafactor"]],
  ["lion", "model", ["finetuning_type=full", "optim=lion_32bit", "learning_rate=0.001"]],
  ["adamw-8bit", "model", ["finetuning_type=full", "optim=adamw_8bit"]],
  ["loraplus", "adapter_model", ["lora_rank=4", "loraplus_lr_ratio=16", "optim=adafactor"]],
])("%s", async (name, file, words) => {
  const [whole, again] = [join(scratch, `${name}-whole`), join(scratch, `${name}-again`)];
  await run(whole, words);
  await run(again, [...words, `resume_from_checkpoint=${whole}/checkpoint-2`]);
  for (const part of [`${file}.safetensors`, "checkpoint-6/optimizer.safetensors"])
    expect(bytes(again, part) === bytes(whole, part), part).toBe(true);
  expect(bytes(whole, "checkpoint-4", `${file}.safetensors`)).not.toBe(bytes(whole, `${file}.safetensors`));
});

it("8-bit moments are one byte each in a checkpoint, those of embeddings and small parameters are f32", () => {
  const { names, info, close } = openSafetensors(
    join(scratch, "adamw-8bit-whole", "checkpoint-6", "optimizer.safetensors"),
  );
  const dtypes = (start: string): string[] => [
    ...new Set(names().flatMap((name) => (name.startsWith(start) ? info(name).dtype : []))),
  ];
  expect([dtypes("state1."), dtypes("state2."), dtypes("absmax1."), dtypes("exp_avg.")]).toEqual([
    ["u8"],
    ["u8"],
    ["f32"],
    ["f32"],
  ]);
  // transformers 5.18, Trainer.create_optimizer: embeddings are overridden to 32 bits.
  expect(names()).toContain("exp_avg.model.embed_tokens.weight");
  expect(names()).toContain("state1.lm_head.weight");
  close();
});

it("freeze tuning of a module that the model lacks is refused before its weights are read", async () => {
  const words = ["finetuning_type=freeze", "freeze_trainable_modules=attention"];
  await expect(run(join(scratch, "refused"), words)).rejects.toThrow(
    /^freeze_trainable_modules: module attention is not found; choose from all, .*self_attn/,
  );
});
