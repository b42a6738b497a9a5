// stage: rm from configuration to files: where its head is read from, what it is refused with, every kind of base.

import { openSafetensors, writeSafetensors } from "@welltempered/checkpoint";
import { loadConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase, openRewardModel, runExport, runTraining } from "@welltempered/trainer";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-reward-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const headName = "value_head.safetensors";
const small = join(fixtures, "llamafactory/model");
const adapter = join(scratch, "reward");
const words = ["apples", "pears", "plums", "figs"];
const pair = (index: number) => ({
  instruction: `Name ${index} fruits`,
  chosen: words.slice(index % 3).join(" "),
  rejected: "stones",
});

beforeAll(async () => {
  writeFileSync(join(scratch, "pairs.json"), JSON.stringify(Array.from({ length: 8 }, (_, index) => pair(index))));
  const columns = { prompt: "instruction", chosen: "chosen", rejected: "rejected" };
  const entry = { file_name: "pairs.json", ranking: true, columns };
  writeFileSync(join(scratch, "dataset_info.json"), JSON.stringify({ pairs: entry }));
  await run(adapter);
});

interface Ran {
  metrics: Record<string, number>;
  notices: string[];
}

async function run(folder: string, ...settings: string[]): Promise<Ran> {
  const { config, warnings } = loadConfig([
    `model_name_or_path=${small}`,
    "template=chatml",
    "stage=rm",
    "do_train=true",
    "dataset=pairs",
    `dataset_dir=${scratch}`,
    "max_steps=6",
    "per_device_train_batch_size=2",
    "learning_rate=0.01",
    "logging_steps=1",
    "save_strategy=no",
    `output_dir=${folder}`,
    ...settings,
  ]);
  expect(warnings).toEqual([]);
  const notices: string[] = [];
  const { metrics } = await runTraining(
    config,
    (event) => event.type === "notice" && notices.push(event.message),
    () => false,
  );
  return { metrics, notices };
}

const evaluation = ["do_train=false", "do_eval=true", "eval_dataset=pairs"];
const ours = `adapter_name_or_path=${adapter}`;

/** A copy of the adapter with another head, or none. */
function copyWith(name: string, head?: (file: string) => void): string {
  const folder = join(scratch, name);
  cpSync(adapter, folder, { recursive: true });
  rmSync(join(folder, headName));
  head?.(join(folder, headName));
  return folder;
}

const zeros = (name: string, ...shape: number[]) => ({
  name,
  dtype: "F32" as const,
  shape,
  bytes: new Uint8Array(4 * shape.reduce((product, extent) => product * extent, 1)),
});

describe("a reward model", () => {
  it("learns which answers win, and tells their share", async () => {
    const log = readFileSync(join(adapter, "trainer_log.jsonl"), "utf8").trimEnd().split("\n").slice(0, 6);
    const shares = log.map((line) => (JSON.parse(line) as { accuracy?: number }).accuracy);
    expect(shares.filter((share) => share !== undefined && [0, 0.5, 1].includes(share)).length).toBe(6);
    expect(shares.at(-1)).toBe(1);
    const { metrics, notices } = await run(join(scratch, "evaluated"), ...evaluation, "do_predict=true", ours);
    expect(metrics["eval_accuracy"]).toBe(1);
    expect(metrics["predict_accuracy"]).toBe(1);
    expect(notices).toEqual([]);
    const lines = readFileSync(join(scratch, "evaluated/generated_predictions.jsonl"), "utf8").trimEnd().split("\n");
    expect(lines.length).toBe(8);
    for (const { chosen, rejected } of lines.map((line) => JSON.parse(line) as Record<string, number>))
      expect(chosen! > rejected!).toBe(true);
  });

  it("scores a conversation as it was trained on one", async () => {
    const { config } = loadConfig([`model_name_or_path=${small}`, ours, "template=chatml"], "chat");
    const reward = await openRewardModel(config, () => undefined);
    const said = (content: string) =>
      reward.encode([
        { role: "user", content: pair(1).instruction },
        { role: "assistant", content },
      ]);
    const [chosen = 0, rejected = 0, alone = 0] = await reward.score([said(pair(1).chosen), said("stones"), said("x")]);
    expect(chosen).toBeGreaterThan(rejected);
    expect((await reward.score([said("x")]))[0]).toBeCloseTo(alone, 5);
    const [line = ""] = readFileSync(join(scratch, "evaluated/generated_predictions.jsonl"), "utf8")
      .split("\n")
      .slice(1);
    expect(JSON.parse(line)).toEqual({ chosen: Number(chosen.toFixed(2)), rejected: Number(rejected.toFixed(2)) });
    await expect(reward.score([[]])).rejects.toThrow("a sequence without tokens has no score");
    expect(() => reward.encode([])).toThrow("a conversation without messages has no score");
    reward.dispose();
  });

  it("trains on a quantised base, and goes on where its head was", async () => {
    const base = [`model_name_or_path=${join(fixtures, "qlora/model")}`, "quantization_bit=4"];
    const [first, second] = [join(scratch, "nf4"), join(scratch, "nf4-on")];
    await run(first, ...base);
    await run(second, ...base, `adapter_name_or_path=${first}`, "learning_rate=0");
    const bytes = (folder: string): string => readFileSync(join(folder, headName)).toString("base64");
    expect(bytes(second) === bytes(first)).toBe(true);
  });

  it("may be the best of its checkpoints, head and all", async () => {
    const folder = join(scratch, "best");
    const best = ["load_best_model_at_end=true", "metric_for_best_model=accuracy", "eval_strategy=steps"];
    await run(
      folder,
      ...best,
      "eval_steps=2",
      "save_strategy=steps",
      "save_steps=2",
      "eval_dataset=pairs",
      "plot_loss=true",
    );
    const { best_model_checkpoint: checkpoint } = JSON.parse(
      readFileSync(join(folder, "trainer_state.json"), "utf8"),
    ) as { best_model_checkpoint: string };
    const read = (from: string): Buffer => readFileSync(join(from, headName));
    expect(read(folder).equals(read(checkpoint))).toBe(true);
    expect(existsSync(join(folder, "training_eval_accuracy.svg"))).toBe(true);
  });
});

describe("a head", () => {
  it("that is missing starts afresh in training, with a word, and is refused otherwise", async () => {
    const headless = `adapter_name_or_path=${copyWith("headless")}`;
    const { notices } = await run(join(scratch, "afresh"), headless);
    expect(notices).toEqual([`${scratch}/headless: holds no ${headName}; a fresh head starts`]);
    await expect(run(join(scratch, "refused"), ...evaluation, headless)).rejects.toThrow(
      `${scratch}/headless: holds no ${headName}, without which there are no scores; name a reward model`,
    );
    await expect(run(join(scratch, "refused"), ...evaluation)).rejects.toThrow(`${small}: holds no ${headName}`);
  });

  it.each([
    ["TRL's", {}, 0.1],
    ["what the model's config.json says", { summary_dropout_prob: 0 }, 0],
  ])("has dropout as TRL: %s", (name, more, rate) => {
    const folder = join(scratch, `model-${rate}`);
    cpSync(small, folder, { recursive: true });
    const file = join(folder, "config.json");
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), ...more }));
    const { config } = loadConfig([`model_name_or_path=${folder}`, ours], "chat");
    const base = openBase(config);
    const { model } = loadModel(base, {
      engine: Engine.open({ threads: 1 }),
      config: { ...config, stage: "rm" },
      emit: () => undefined,
    });
    base.weights.close();
    expect(model.v_head?.dropout).toBe(rate);
    model.dispose();
  });

  it("in a pickle is not read", async () => {
    const folder = copyWith("pickled", (file) => writeFileSync(file.replace("safetensors", "bin"), "x"));
    await expect(run(join(scratch, "refused"), `adapter_name_or_path=${folder}`)).rejects.toThrow(
      `${folder}: holds only value_head.bin, and pickle is not read; convert it to ${headName}`,
    );
  });

  it.each([
    ["of another width", [zeros("v_head.summary.weight", 1, 3), zeros("v_head.summary.bias", 1)], "of the wrong shape"],
    ["without a bias", [zeros("v_head.summary.weight", 1, 64)], "missing: v_head.summary.bias"],
  ])("%s is refused", async (name, tensors, message) => {
    const folder = copyWith(name.replaceAll(" ", "-"));
    await writeSafetensors(join(folder, headName), tensors);
    await expect(run(join(scratch, "refused"), `adapter_name_or_path=${folder}`)).rejects.toThrow(message);
  });

  it("goes into an export of stage rm alone, which says so", async () => {
    const exportTo = async (folder: string, ...more: string[]): Promise<string[]> => {
      const events: RunEvent[] = [];
      const settings = [`model_name_or_path=${small}`, ours, "template=chatml", `export_dir=${folder}`, ...more];
      await runExport(loadConfig(settings, "export").config, (event) => events.push(event));
      return events.filter((event) => event.type === "notice").map(({ message }) => message);
    };
    const [plain, whole] = [join(scratch, "plain"), join(scratch, "whole")];
    expect(await exportTo(plain)).toEqual([
      `${adapter}: its ${headName} is not exported; set stage: rm to export a reward model`,
    ]);
    expect(existsSync(join(plain, headName))).toBe(false);
    expect(await exportTo(whole, "stage=rm")).toEqual([]);
    expect(readFileSync(join(whole, headName)).equals(readFileSync(join(adapter, headName)))).toBe(true);
    const { names, close } = openSafetensors(join(whole, "model.safetensors"));
    expect(names().filter((name) => name.startsWith("v_head"))).toEqual([]);
    close();
  });

  it("does not answer", () => {
    expect(() => loadConfig([`model_name_or_path=${small}`, ours, "stage=rm"], "chat")).toThrow(
      "chat with stage: rm, which scores and does not answer; use stage: sft",
    );
  });
});
