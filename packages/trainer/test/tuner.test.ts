// A run whose files are in memory is the run of `temper train`: losses, answers and the adapter's bytes.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { configFromText, type RunConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { afterAll, describe, expect, it } from "vitest";
import { openTuner, runTraining } from "../src/index.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "temper-tuner-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const recipe = readFileSync(join(root, "examples/docker-demo.yaml"), "utf8");
const settings = {
  model_name_or_path: join(root, "examples/demo-base"),
  dataset_dir: join(root, "examples/data"),
  output_dir: join(folder, "run"),
  eval_dataset: "docker_test",
  max_samples: 48,
  num_train_epochs: 2,
  logging_steps: 1,
  do_predict: true,
  predict_with_generate: true,
  plot_loss: false,
};
const configured = (more: Record<string, unknown> = {}): RunConfig =>
  configFromText(recipe, "docker-demo.yaml", { ...settings, ...more }).config;

const filesOf = (path: string): Map<string, Uint8Array> =>
  new Map(
    readdirSync(path)
      .filter((name) => /\.(json|safetensors)$/.test(name))
      .map((name) => [name, readFileSync(join(path, name))]),
  );
const model = filesOf(settings.model_name_or_path);
const data = filesOf(settings.dataset_dir);

const losses = (events: readonly RunEvent[]): number[] =>
  events.flatMap((event) => (event.type === "log" ? [event.loss] : []));

describe("a tuner", () => {
  it("trains, answers and saves as the run in folders does", async () => {
    const config = configured();
    const [inFolders, inMemory]: [RunEvent[], RunEvent[]] = [[], []];
    await runTraining(
      config,
      (event) => inFolders.push(event),
      () => false,
    );
    const tuner = await openTuner({ config, model, data, emit: (event) => inMemory.push(event) });
    const before = await tuner.answers();
    await tuner.train(() => false);
    const after = await tuner.answers();
    const files = await tuner.adapterFiles();
    tuner.dispose();

    expect(losses(inMemory)).toEqual(losses(inFolders));
    expect(losses(inMemory)).toHaveLength(6);
    const written = readFileSync(join(settings.output_dir, "generated_predictions.jsonl"), "utf8");
    expect(`${after.map((line) => JSON.stringify(line)).join("\n")}\n`).toBe(written);
    expect(before.map(({ predict }) => predict)).not.toEqual(after.map(({ predict }) => predict));
    expect([...files.keys()]).toEqual(["adapter_model.safetensors", "README.md", "adapter_config.json"]);
    for (const [name, bytes] of files)
      expect(Buffer.from(bytes).equals(readFileSync(join(settings.output_dir, name))), name).toBe(true);
  });

  it("starts anew on the engine of another: the same losses, and no memory that stays behind", async () => {
    const config = configured({ max_steps: 3 });
    const events: RunEvent[] = [];
    const open = { config, model, data, emit: (event: RunEvent) => void events.push(event) };
    const first = await openTuner(open);
    const held = first.engine.liveBytes();
    await first.train(() => false);
    first.dispose();
    const second = await openTuner({ ...open, engine: first.engine });
    expect(second.engine.liveBytes()).toBe(held);
    await second.train(() => false);
    second.dispose();
    const seen = losses(events);
    expect(seen).toHaveLength(6);
    expect(seen.slice(3)).toEqual(seen.slice(0, 3));
    expect(second.engine.liveBytes()).toBe(0);
  });

  it("names a file that is missing", async () => {
    const without = (files: typeof model, name: string): typeof model =>
      new Map([...files].filter(([key]) => key !== name));
    const config = configured({ model_name_or_path: "base", dataset_dir: "rows" });
    const open = (parts: { model?: typeof model; data?: typeof data }): Promise<unknown> =>
      openTuner({ config, model, data, emit: () => {}, ...parts });
    await expect(open({ model: without(model, "model.safetensors") })).rejects.toThrow(
      /^base: holds no model\.safetensors, only config\.json.*; hand it over too$/,
    );
    await expect(open({ model: without(model, "tokenizer.json") })).rejects.toThrow(/tokenizer\.json/);
    await expect(open({ data: without(data, "docker_train.json") })).rejects.toThrow(
      /^rows\/docker_train\.json: no such file; there are /,
    );
  });

  it("refuses what leaves no adapter", async () => {
    const config = configured({ finetuning_type: "full" });
    await expect(openTuner({ config, model, data, emit: () => {} })).rejects.toThrow(
      "finetuning_type: full leaves no adapter to hand back; use lora",
    );
  });
});
