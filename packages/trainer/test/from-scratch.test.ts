import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;

it("train_from_scratch starts a folder without weights at the loss of a uniform guess, ln V", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "welltempered-scratch-"));
  try {
    const model = join(scratch, "model");
    mkdirSync(model);
    for (const file of ["tokenizer.json", "tokenizer_config.json"])
      copyFileSync(join(fixtures, "model", file), join(model, file));
    const config = JSON.parse(readFileSync(join(fixtures, "model/config.json"), "utf8")) as Record<string, unknown>;
    writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, initializer_range: 0.02 }));
    const words = [
      `model_name_or_path=${model}`,
      "train_from_scratch=true",
      "stage=pt",
      "do_train=true",
      "finetuning_type=full",
      "dataset=text",
      `dataset_dir=${join(fixtures, "data")}`,
      "cutoff_len=64",
      "max_steps=2",
      "logging_steps=1",
      "save_strategy=no",
      `output_dir=${join(scratch, "out")}`,
    ];
    await runTraining(
      loadConfig(words, "train").config,
      () => undefined,
      () => false,
    );
    const { log_history: log } = JSON.parse(readFileSync(join(scratch, "out/trainer_state.json"), "utf8")) as {
      log_history: { loss?: number }[];
    };
    expect(log[0]?.loss).toBeGreaterThan(0.98 * Math.log(400));
    expect(log[0]?.loss).toBeLessThan(1.02 * Math.log(400));
    expect(existsSync(join(scratch, "out/model.safetensors"))).toBe(true);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
