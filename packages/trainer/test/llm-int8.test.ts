// LoRA on an int8 base against transformers, peft and bitsandbytes, and checkpoints as these write them
// (tools/python/make_llm_int8.py, make_qlora_curves.py).

import { openSafetensors } from "@welltempered/checkpoint";
import { loadConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { packRows } from "@welltempered/nn";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase, runExport, runTraining } from "@welltempered/trainer";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-int8-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Entry {
  loss: number;
  grad_norm: number;
}
interface Curves {
  llm_int8: Entry[];
  /** The same from weights that differ by 1e-6. */
  moved: Entry[];
  dequantised: Entry[];
  tokens: number[][];
  logits: number[][];
}
const curves = JSON.parse(readFileSync(join(fixtures, "llm-int8/curves.json"), "utf8")) as Curves;

const base = `model_name_or_path=${join(fixtures, "qlora/model")}`;
const adapter = `adapter_name_or_path=${join(fixtures, "qlora/adapter")}`;
const saved = `model_name_or_path=${join(scratch, "saved")}`;

/** What transformers saved, with a tokenizer beside it. */
beforeAll(() => {
  mkdirSync(join(scratch, "saved"));
  for (const file of ["config.json", "model.safetensors"])
    copyFileSync(join(fixtures, "llm-int8/int8", file), join(scratch, "saved", file));
  for (const file of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(join(fixtures, "qlora/model", file), join(scratch, "saved", file));
});

async function train(name: string, ...words: string[]): Promise<Entry[]> {
  const { config } = loadConfig(
    [
      adapter,
      "template=chatml",
      "do_train=true",
      "dataset=alpaca_plain",
      `dataset_dir=${join(fixtures, "llamafactory/data")}`,
      "cutoff_len=256",
      "max_steps=20",
      "per_device_train_batch_size=1",
      "gradient_accumulation_steps=2",
      "learning_rate=0.001",
      "weight_decay=0.1",
      "max_grad_norm=1",
      "lr_scheduler_type=cosine",
      "warmup_steps=2",
      "logging_steps=1",
      "save_strategy=no",
      "disable_shuffling=true",
      `output_dir=${join(scratch, name)}`,
      ...words,
    ],
    "train",
  );
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
  const state = JSON.parse(readFileSync(join(scratch, name, "trainer_state.json"), "utf8")) as { log_history: Entry[] };
  return state.log_history.filter(({ loss }) => loss !== undefined);
}

/** The largest relative difference over the steps. */
const distance = (ours: Entry[], theirs: Entry[], key: keyof Entry): number =>
  Math.max(...theirs.map((entry, i) => Math.abs((ours[i]?.[key] ?? 0) - entry[key]) / entry[key]));

describe("20 steps on an int8 base", () => {
  it("have the losses and gradient norms of bitsandbytes' LLM.int8", async () => {
    const ours = await train("llm-int8", base, "quantization_bit=8");
    expect(ours.length).toBe(20);
    // A last bit may turn a code, which is a hundredth of its row: bitsandbytes is as far from itself.
    for (const key of ["loss", "grad_norm"] as const)
      expect(distance(ours, curves.llm_int8, key)).toBeLessThan(3 * distance(curves.moved, curves.llm_int8, key));
    const steps = [0, 1, 2].map((at) => [ours.slice(at, at + 1), curves.llm_int8.slice(at, at + 1)] as const);
    expect(Math.min(...steps.map(([a, b]) => distance(a, b, "loss")))).toBeLessThan(1e-6);
  });

  it("have those of its dequantised weights where every activation is an outlier", async () => {
    const ours = await train("floats", base, "quantization_bit=8", "llm_int8_threshold=0.000001");
    expect(distance(ours, curves.dequantised, "loss")).toBeLessThan(1e-5);
    expect(distance(ours, curves.dequantised, "grad_norm")).toBeLessThan(1e-4);
  });

  it("have the same bits from a checkpoint that transformers saved in int8, and on one thread", async () => {
    const ours = await train("here", base, "quantization_bit=8", "max_steps=4");
    expect(await train("there", saved, "max_steps=4")).toEqual(ours);
    expect(await train("one", saved, "max_steps=4", "threads=1")).toEqual(ours);
  });
});

it("takes a byte a weight, and gives the logits of transformers and bitsandbytes", async () => {
  const { config } = loadConfig([base, "template=chatml", "quantization_bit=8"], "chat");
  const engine = Engine.open();
  const opened = openBase(config);
  const { model } = loadModel(opened, { engine, config, emit: () => undefined });
  // Codes and the scales of 1,024 rows; the embedding in bf16, norms in f32.
  expect(engine.liveBytes()).toBe(73_728 + 4 * 1024 + 2 * 400 * 64 + 4 * 5 * 64);
  let equal = 0;
  for (const [i, row] of curves.tokens.entries()) {
    const logits = engine.noGrad(() => engine.scope(() => model.logits(model.forward(packRows([row])))));
    const found = (await logits.read()).slice((row.length - 1) * 400);
    logits.dispose();
    const worst = Math.max(...(curves.logits[i] ?? []).map((logit, at) => Math.abs(logit - (found[at] ?? 0))));
    expect(worst).toBeLessThan(0.1);
    if (worst < 5e-6) equal++;
  }
  // A last bit that turns a code moves all that comes after it; few rows meet one.
  expect(equal).toBeGreaterThan(4);
  opened.weights.close();
  model.dispose();
});

async function exported(name: string, ...words: string[]): Promise<{ folder: string; messages: string[] }> {
  const folder = join(scratch, name);
  const messages: string[] = [];
  const { config } = loadConfig(
    [...words, "template=chatml", `export_dir=${folder}`, "export_quantized=true"],
    "export",
  );
  await runExport(config, (event: RunEvent) => {
    if (event.type === "notice") messages.push(event.message);
  });
  return { folder, messages };
}

const read = (folder: string): Buffer => readFileSync(join(folder, "model.safetensors"));
const quantizationOf = (folder: string): string =>
  JSON.stringify(
    (JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>)["quantization_config"],
  );

describe("export_quantized", () => {
  const theirs: [name: string, fixture: string, words: string[]][] = [
    ["int8", "llm-int8/int8", ["quantization_bit=8"]],
    ["fp4", "llm-int8/fp4", ["quantization_bit=4", "quantization_type=fp4", "double_quantization=false"]],
    ["nf4", "qlora/quantized", ["quantization_bit=4"]],
  ];
  it.each(theirs)("writes the bytes that transformers and bitsandbytes write: %s", async (name, fixture, words) => {
    const { folder, messages } = await exported(name, base, ...words);
    expect(messages).toEqual([]);
    expect(read(folder).equals(read(join(fixtures, fixture)))).toBe(true);
    // That of nf4 was saved with the compute dtype of BitsAndBytesConfig's default.
    const text = quantizationOf(join(fixtures, fixture));
    expect(quantizationOf(folder)).toBe(name === "nf4" ? text.replace("float32", "bfloat16") : text);
    expect(readFileSync(join(folder, "config.json"), "utf8")).toContain('"llm_int8_threshold": 6.0,');
  });

  it("keeps the codes that a model is in", async () => {
    const { folder } = await exported("kept", saved);
    expect(read(folder).equals(read(join(scratch, "saved")))).toBe(true);
  });

  it("quantises what an adapter was merged into again, and says so", async () => {
    const { folder, messages } = await exported("merged", base, adapter, "quantization_bit=8");
    expect(messages).toEqual([
      "14 quantised weights became f32 for the adapter to be merged; they are quantised again, in llm_int8/6",
    ]);
    const weights = openSafetensors(join(folder, "model.safetensors"));
    expect(weights.info("model.layers.0.mlp.up_proj.weight")).toMatchObject({ dtype: "i8", shape: [128, 64] });
    weights.close();
  });

  it("is refused where nothing says in which codes", async () => {
    await expect(exported("none", base)).rejects.toThrow(
      "export_quantized: the model is not in codes of bitsandbytes; set quantization_bit",
    );
  });
});

it("a base in int8 is not quantised twice, nor trained itself", async () => {
  await expect(train("twice", saved, "quantization_bit=4")).rejects.toThrow(
    "quantization_bit: the model is in llm_int8/6 already and stays so; leave it out",
  );
  await expect(train("full", saved, "finetuning_type=full", "adapter_name_or_path=[]")).rejects.toThrow(
    "finetuning_type: the weights are in llm_int8/6, which cannot be trained; use finetuning_type: lora",
  );
});
