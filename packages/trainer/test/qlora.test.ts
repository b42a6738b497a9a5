// QLoRA against transformers, peft and bitsandbytes (tools/python/make_qlora_curves.py), and what a quantised base refuses.

import { loadConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { Parameter } from "@welltempered/nn";
import { Engine } from "@welltempered/tensor";
import { runExport, runTraining } from "@welltempered/trainer";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-qlora-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Entry {
  loss: number;
  grad_norm: number;
}
const curves = JSON.parse(readFileSync(join(fixtures, "qlora/curves.json"), "utf8")) as Record<string, Entry[]>;

const model = [
  `model_name_or_path=${join(fixtures, "qlora/model")}`,
  `adapter_name_or_path=${join(fixtures, "qlora/adapter")}`,
  "template=chatml",
  "quantization_bit=4",
];

async function train(folder: string, ...words: string[]): Promise<Entry[]> {
  const { config, warnings } = loadConfig(
    [
      ...model,
      "do_train=true",
      "dataset=alpaca_plain",
      `dataset_dir=${join(fixtures, "llamafactory/data")}`,
      "cutoff_len=256",
      "max_steps=20",
      "per_device_train_batch_size=2",
      "learning_rate=0.01",
      "weight_decay=0.1",
      "max_grad_norm=1",
      "lr_scheduler_type=cosine",
      "warmup_steps=2",
      "logging_steps=1",
      "save_strategy=no",
      "disable_shuffling=true",
      `output_dir=${folder}`,
      ...words,
    ],
    "train",
  );
  expect(warnings).toEqual([]);
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
  const state = JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as { log_history: Entry[] };
  return state.log_history.filter(({ loss }) => loss !== undefined);
}

const cases: [name: string, type: string, double: boolean][] = [
  ["nf4-double", "nf4", true],
  ["nf4", "nf4", false],
  ["fp4-double", "fp4", true],
];

describe("20 steps on a quantised base", () => {
  it.each(cases)("%s: losses and gradient norms are those of bitsandbytes", async (name, type, double) => {
    const folder = join(scratch, name);
    const ours = await train(folder, `quantization_type=${type}`, `double_quantization=${double}`);
    const theirs = curves[name] as Entry[];
    expect(ours.length).toBe(theirs.length);
    for (const [i, { loss, grad_norm }] of theirs.entries()) {
      expect(Math.abs((ours[i] as Entry).loss - loss) / loss, `loss of step ${i + 1}`).toBeLessThan(1e-5);
      expect(Math.abs((ours[i] as Entry).grad_norm - grad_norm) / grad_norm, `step ${i + 1}`).toBeLessThan(1e-4);
    }
    // A run that took another code, or none, would differ in the third digit.
    const others = cases.filter(([other]) => other !== name).map(([other]) => curves[other]?.[0]?.loss ?? 0);
    for (const other of others) expect(Math.abs((ours[0]?.loss ?? 0) - other) / other).toBeGreaterThan(1e-4);
  });

  it("the same bits from a checkpoint that transformers saved quantised", async () => {
    const quantised = [`model_name_or_path=${join(fixtures, "qlora/quantized")}`, "quantization_bit=null"];
    const ours = await train(join(scratch, "here"));
    expect(await train(join(scratch, "there"), ...quantised)).toEqual(ours);
    await expect(train(join(scratch, "both"), quantised[0] ?? "")).rejects.toThrow(
      "quantization_bit: the model is in nf4/64/double already and stays so; leave it out",
    );
    const full = [...quantised, "finetuning_type=full", "adapter_name_or_path=[]"];
    await expect(train(join(scratch, "full"), ...full)).rejects.toThrow(
      "finetuning_type: the weights are in nf4/64/double, which cannot be trained; use finetuning_type: lora",
    );
  });

  it("the same bits on every run", async () => {
    const [a, b] = [await train(join(scratch, "once")), await train(join(scratch, "twice"), "threads=1")];
    expect(a).toEqual(b);
  });
});

it("a weight in a codec cannot be marked to train", () => {
  const engine = Engine.open({ device: "cpu", threads: 1 });
  const weight = new Parameter(engine.adopt(engine.backend.cast(engine.zeros([2, 64]).slot, "nf4/64")));
  expect(() => (weight.trainable = true)).toThrow("a nf4/64 weight cannot be trained");
  expect([weight.dequantize(), weight.tensor.dtype, weight.dequantize()]).toEqual([true, "f32", false]);
});

describe("export of a quantised base", () => {
  it("is written in a float dtype, and says so", async () => {
    const events: RunEvent[] = [];
    const words = [`model_name_or_path=${join(fixtures, "qlora/quantized")}`, "template=chatml"];
    await runExport(loadConfig([...words, `export_dir=${join(scratch, "plain")}`], "export").config, (event) =>
      events.push(event),
    );
    expect(events).toContainEqual({
      type: "notice",
      level: "warning",
      message: "14 quantised weights are written as bf16; export_quantized: true keeps bitsandbytes' codes",
    });
    const config = JSON.parse(readFileSync(join(scratch, "plain/config.json"), "utf8")) as Record<string, unknown>;
    expect(config).not.toHaveProperty("quantization_config");
  });

  it("merges the adapter in f32 and says that the model is quantised no more", async () => {
    const events: RunEvent[] = [];
    const { config } = loadConfig([...model, `export_dir=${join(scratch, "merged")}`], "export");
    await runExport(config, (event) => events.push(event));
    const notices = events.filter((event) => event.type === "notice").map(({ message }) => message);
    expect(notices).toEqual([
      "14 quantised weights became f32 for the adapter to be merged; the model is quantised no more",
    ]);
    expect(existsSync(join(scratch, "merged/model.safetensors"))).toBe(true);
  });
});
