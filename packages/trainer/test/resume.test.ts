// A run stopped after any step, whatever was due there, ends as one that was not; so does one that was killed at its end.
import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-resume-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const common = [
  `model_name_or_path=${join(fixtures, "model")}`,
  `dataset_dir=${join(fixtures, "data")}`,
  "dataset=alpaca",
  "template=default",
  "do_train=true",
  "max_samples=16",
  "val_size=5",
  "max_steps=12",
  "per_device_train_batch_size=1",
  "gradient_accumulation_steps=2",
  "lora_rank=2",
  "lora_dropout=0.1",
  "cutoff_len=32",
  "logging_steps=2",
  "lr_scheduler_type=constant",
  "load_best_model_at_end=true",
  "threads=1",
];

/** Runs, stops after the `stopAfter`th step of this process, and says how it ended. */
async function run(folder: string, words: readonly string[], stopAfter = Infinity): Promise<string> {
  let asked = 0;
  const { config } = loadConfig([...common, ...words, `output_dir=${folder}`], "train");
  const outcome = await runTraining(
    config,
    () => undefined,
    () => ++asked >= stopAfter,
  );
  return outcome.reason;
}

interface State {
  log_history: Record<string, number>[];
  best_model_checkpoint: string | null;
  global_step: number;
}

function endOf(folder: string): Record<string, unknown> {
  const state = JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as State;
  const timeless = state.log_history.map((entry) =>
    Object.entries(entry).filter(([key]) => !/_(runtime|per_second)$/.test(key)),
  );
  return {
    ...state,
    log_history: timeless,
    best_model_checkpoint: state.best_model_checkpoint && basename(state.best_model_checkpoint),
    weights: readFileSync(join(folder, "adapter_model.safetensors")).toString("base64"),
  };
}

const steps = Array.from({ length: 11 }, (_, index) => index + 1);
const every = ["save_steps=3", "eval_strategy=steps", "eval_steps=3"];
const epochs = ["save_strategy=epoch", "eval_strategy=epoch", "logging_strategy=epoch"];
/** The loss falls from one evaluation to the next, and a falling loss counts as worse: the first model is the best. */
const falling = ["learning_rate=0.01", "metric_for_best_model=loss", "greater_is_better=true"];

describe.each([
  ["evaluated every 3 steps", [...every, "learning_rate=0.003"]],
  ["evaluated every 3 steps, the last checkpoint kept", [...every, ...falling, "save_total_limit=1"]],
  ["evaluated every epoch", [...epochs, "learning_rate=0.01"]],
  ["saved when best", ["save_strategy=best", "eval_strategy=steps", "eval_steps=2", "learning_rate=0.01"]],
])("%s", (name, words) => {
  it("ends the same wherever it is stopped", async () => {
    const whole = join(scratch, `${name}-whole`);
    expect(await run(whole, words)).toBe("finished");
    if (words.includes("save_total_limit=1")) expect(endOf(whole).best_model_checkpoint).not.toBe("checkpoint-12");
    for (const step of steps) {
      const folder = join(scratch, `${name}-${step}`);
      expect(await run(folder, words, step)).toBe("stopped");
      expect(readdirSync(folder)).toContain(`checkpoint-${step}`);
      expect(await run(folder, [...words, "resume_from_checkpoint=true"])).toBe("finished");
      expect(endOf(folder), `stopped after step ${step}`).toEqual(endOf(whole));
    }
  });
});

it.each([
  ["steps", [...every, ...falling]],
  ["epochs", [...epochs, ...falling, "max_steps=24"]],
])("a run killed between its last checkpoint and its early end (evaluated in %s) ends there", async (name, words) => {
  const early = [...words, "early_stopping_steps=1"];
  const whole = join(scratch, `early-${name}`);
  expect(await run(whole, early)).toBe("early-stop");
  const checkpoints = readdirSync(whole).filter((file) => file.startsWith("checkpoint-"));
  const last = Math.max(...checkpoints.map((file) => Number(file.split("-")[1])));
  expect(last).toBeLessThan(name === "steps" ? 12 : 24);
  const again = join(scratch, `early-${name}-again`);
  expect(await run(again, [...early, `resume_from_checkpoint=${whole}/checkpoint-${last}`])).toBe("early-stop");
  expect(endOf(again)).toEqual(endOf(whole));
});

it("a run that skipped a step with an infinite gradient can be continued", async () => {
  const words = [...every, "learning_rate=0.003"];
  process.env["TEMPER_FAULT"] = "inf-grad:2";
  try {
    const whole = join(scratch, "skipped");
    expect(await run(whole, words)).toBe("finished");
    const again = join(scratch, "skipped-again");
    expect(await run(again, [...words, `resume_from_checkpoint=${whole}/checkpoint-3`])).toBe("finished");
    expect(endOf(again)).toEqual(endOf(whole));
  } finally {
    delete process.env["TEMPER_FAULT"];
  }
});
