// A run of each method that continues from a checkpoint ends with the bytes of one that nothing stopped.
import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { finetuningTypes } from "../../config/src/run-config.ts";
import { shown } from "./cells.ts";
import { methods } from "./method-table.ts";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-methods-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Bases of docs/methods.md whose weights are plain numbers; codec-methods.test.ts has the others. */
const bases = [
  ["f32", "llamafactory/model"],
  ["bf16", "qlora/model"],
] as const;

const common = [
  `dataset_dir=${join(fixtures, "llamafactory/data")}`,
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

const bytesOf = (folder: string): string => {
  const file = ["adapter_model.safetensors", "adapter.safetensors", "model.safetensors"].find((name) =>
    existsSync(join(folder, name)),
  );
  return readFileSync(join(folder, file ?? "nothing")).toString("base64");
};

describe.each(bases)("on %s", (base, model) => {
  it.each(methods)("%s", async (name, words) => {
    const [whole, again] = [join(scratch, base, name, "whole"), join(scratch, base, name, "again")];
    const all = [...words, `model_name_or_path=${join(fixtures, model)}`];
    await run(whole, all);
    await run(again, [...all, `resume_from_checkpoint=${whole}/checkpoint-3`]);
    expect(lossesOf(again)).toEqual(lossesOf(whole));
    expect(lossesOf(again).length).toBe(3);
    expect(bytesOf(again) === bytesOf(whole)).toBe(true);
    expect(bytesOf(join(whole, "checkpoint-3")) === bytesOf(whole)).toBe(false);
    shown(name, base, ["resumes bit-exactly"]);
  });
});

it("every finetuning_type has a line in the table", () => {
  const asked = methods.map(([, words]) => /^finetuning_type=(.*)/.exec(words[0] ?? "")?.[1] ?? "lora");
  expect([...new Set(asked)].sort()).toEqual([...finetuningTypes].sort());
});
