// A run holds as many tensors and bytes after 200 steps as after 20, counted where they are allocated.
import { loadConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { Engine } from "@welltempered/tensor";
import { runTraining } from "@welltempered/trainer";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "welltempered-live-"))));
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

interface Live {
  tensors: number;
  bytes: number;
}

const live = (engine: Engine): Live => ({ tensors: engine.liveTensors(), bytes: engine.liveBytes() });

/** What lives at each event of a run of 200 steps, under the event's type and step; and after its end. */
async function watched(words: readonly string[]): Promise<{ at: Map<string, Live>; after: Live }> {
  const open = vi.spyOn(Engine, "open");
  const engine = (): Engine => {
    const [result] = open.mock.results;
    if (result?.type !== "return") throw new Error("no engine was opened");
    return result.value;
  };
  const at = new Map<string, Live>();
  const listen = (event: RunEvent): void => {
    if ("step" in event) at.set(`${event.type} ${event.step}`, live(engine()));
  };
  const common = [
    `model_name_or_path=${join(fixtures, "model")}`,
    `dataset_dir=${join(fixtures, "data")}`,
    "dataset=alpaca",
    "do_train=true",
    "max_steps=200",
    "per_device_train_batch_size=1",
    "gradient_accumulation_steps=2",
    "logging_steps=10",
    "eval_strategy=steps",
    "eval_steps=20",
    "save_steps=20",
    "save_total_limit=2",
    "threads=1",
    `output_dir=${join(folder, "out")}`,
  ];
  await runTraining(loadConfig([...common, ...words], "train").config, listen, () => false);
  return { at, after: live(engine()) };
}

it.each([
  ["LoRA with dropout", ["template=default", "val_size=4", "lora_rank=4", "lora_dropout=0.1", "cutoff_len=64"]],
  [
    "LoRA, packed, best model",
    ["template=default", "val_size=4", "neat_packing=true", "cutoff_len=96", "load_best_model_at_end=true"],
  ],
  [
    "a projected prefix",
    ["template=default", "val_size=4", "finetuning_type=prefix_tuning", "prefix_projection=true", "cutoff_len=64"],
  ],
  ["Houlsby adapters", ["template=default", "val_size=4", "finetuning_type=houlsby", "cutoff_len=64"]],
  ["full", ["template=default", "val_size=4", "finetuning_type=full", "cutoff_len=64", "save_total_limit=1"]],
  [
    "full, plain text, SGD",
    ["stage=pt", "dataset=text", "val_size=0.2", "finetuning_type=full", "cutoff_len=32", "optim=sgd"],
  ],
])("%s: as many live tensors and bytes at step 200 as at step 20, none at the end", async (_what, words) => {
  const { at, after } = await watched(words);
  for (const moment of ["step", "log", "eval", "checkpoint"]) {
    expect(at.get(`${moment} 20`), moment).toBeDefined();
    expect(at.get(`${moment} 200`), moment).toEqual(at.get(`${moment} 20`));
  }
  expect(at.get("step 20")?.tensors).toBeGreaterThan(20);
  expect(after).toEqual({ tensors: 0, bytes: 0 });
});
