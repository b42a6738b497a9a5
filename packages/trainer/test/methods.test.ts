// A run of each method that continues from a checkpoint ends with the bytes of one that nothing stopped.
import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { shown } from "./cells.ts";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-methods-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const common = [
  `model_name_or_path=${join(fixtures, "model")}`,
  `dataset_dir=${join(fixtures, "data")}`,
  "dataset=alpaca",
  "template=default",
  "do_train=true",
  "max_samples=8",
  "max_steps=6",
  "save_steps=3",
  "logging_steps=1",
  "per_device_train_batch_size=2",
  "cutoff_len=32",
  "lora_rank=2",
  "lora_dropout=0.1",
  "learning_rate=0.01",
];

async function run(folder: string, words: readonly string[]): Promise<void> {
  const { config } = loadConfig([...common, ...words, `output_dir=${folder}`], "train");
  const { reason } = await runTraining(
    config,
    () => undefined,
    () => false,
  );
  expect(reason).toBe("finished");
}

/** Losses and gradient norms of the steps after the third. */
const lossesOf = (folder: string): unknown[] => {
  const { log_history: entries } = JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as {
    log_history: Record<string, number>[];
  };
  return entries.flatMap(({ step, loss, grad_norm }) => (Number(step) > 3 && loss ? [[step, loss, grad_norm]] : []));
};

const bytesOf = (folder: string): string => readFileSync(join(folder, "adapter_model.safetensors")).toString("base64");

it.each<[string, readonly string[]]>([
  ["lora", []],
  ["dora", ["use_dora=true"]],
  ["dora with rslora", ["use_dora=true", "use_rslora=true"]],
  ["pissa", ["pissa_init=true"]],
  ["pissa with dora", ["pissa_init=true", "pissa_iter=-1", "use_dora=true"]],
  ["loha", ["finetuning_type=loha", "lora_dropout=0"]],
  ["ia3", ["finetuning_type=ia3", "ia3_target=q_proj,down_proj", "feedforward_modules=down_proj"]],
  ["oft", ["finetuning_type=oft", "oft_block_size=8"]],
  ["boft", ["finetuning_type=boft"]],
])("%s", async (name, words) => {
  const [whole, again] = [join(scratch, name, "whole"), join(scratch, name, "again")];
  await run(whole, words);
  await run(again, [...words, `resume_from_checkpoint=${whole}/checkpoint-3`]);
  expect(lossesOf(again)).toEqual(lossesOf(whole));
  expect(lossesOf(again).length).toBe(3);
  expect(bytesOf(again) === bytesOf(whole)).toBe(true);
  expect(bytesOf(join(whole, "checkpoint-3")) === bytesOf(whole)).toBe(false);
  shown(name, "f32", ["resumes bit-exactly"]);
});
