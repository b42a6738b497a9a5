// What `bf16`, `fp16`, `pure_bf16`, `share_prefixes` and `gradient_checkpointing` do to the model that trains, and that a run
// in 16 bits learns what one in f32 does. The reference's own bf16 run is compared by `npm run bench -- lora-step`.
import { loadConfig } from "@welltempered/config";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase, openChat, runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-precision-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const configOf = (...words: string[]) =>
  loadConfig(
    [
      `model_name_or_path=${join(fixtures, "llamafactory/model")}`,
      `dataset_dir=${join(fixtures, "llamafactory/data")}`,
      "dataset=alpaca_plain",
      "template=chatml",
      "do_train=true",
      "max_samples=8",
      "max_steps=6",
      "logging_steps=1",
      "per_device_train_batch_size=2",
      "cutoff_len=64",
      "learning_rate=0.01",
      `output_dir=${join(scratch, "run")}`,
      "overwrite_output_dir=true",
      ...words,
    ],
    "train",
  ).config;

async function losses(...words: string[]): Promise<number[]> {
  await runTraining(
    configOf(...words),
    () => undefined,
    () => false,
  );
  const state = readFileSync(join(scratch, "run/trainer_state.json"), "utf8");
  const { log_history: log } = JSON.parse(state) as { log_history: { loss?: number }[] };
  return log.flatMap(({ loss }) => loss ?? []);
}

it("a run in bf16 learns what one in f32 learns, not to the last digit", async () => {
  const [wide, narrow] = [await losses(), await losses("bf16=true")];
  expect(narrow).not.toEqual(wide);
  expect(wide.at(-1)).toBeLessThan(0.95 * (wide[0] ?? 0));
  for (const [step, loss] of wide.entries()) expect(Math.abs((narrow[step] ?? 0) - loss)).toBeLessThan(0.01 * loss);
});

it("layers computed again from rounded inputs learn the same, not to the last digit", async () => {
  const [kept, again] = [await losses("bf16=true"), await losses("bf16=true", "gradient_checkpointing=true")];
  expect(again).toHaveLength(kept.length);
  expect(again).not.toEqual(kept);
  for (const [step, loss] of kept.entries()) expect(Math.abs((again[step] ?? 0) - loss)).toBeLessThan(0.01 * loss);
});

it("a chat in bf16 answers from weights that bf16 holds", async () => {
  const answer = async (...words: string[]) => {
    const model = `model_name_or_path=${join(fixtures, "llamafactory/model")}`;
    const { config } = loadConfig(
      [model, "template=chatml", "top_k=0", "top_p=1", "max_new_tokens=300", ...words],
      "chat",
    );
    const chat = await openChat(config, () => {});
    const text = await chat.send("What is a container?", () => {});
    chat.dispose();
    return text;
  };
  const wide = await answer();
  expect(await answer("infer_dtype=bfloat16")).not.toEqual(wide);
  expect(await answer("infer_dtype=bfloat16")).toEqual(await answer("bf16=true"));
  expect(await answer("infer_dtype=float16")).toEqual(wide);
});

interface Entry {
  loss?: number;
  learning_rate: number;
}

const logOf = (folder: string): Entry[] => {
  const text = readFileSync(join(scratch, folder, "trainer_state.json"), "utf8");
  return (JSON.parse(text) as { log_history: Entry[] }).log_history.filter(({ loss }) => loss !== undefined);
};

/** Runs in a folder of its own, stopped after so many steps, with a fault of the loop; returns what it told. */
async function runIn(folder: string, words: readonly string[], stopAfter = Infinity, fault = ""): Promise<string[]> {
  let [asked, told] = [0, [] as string[]];
  process.env["TEMPER_FAULT"] = fault;
  try {
    await runTraining(
      configOf(`output_dir=${join(scratch, folder)}`, "overwrite_output_dir=false", ...words),
      (event) => void (event.type === "notice" && told.push(event.message)),
      () => ++asked >= stopAfter,
    );
  } finally {
    delete process.env["TEMPER_FAULT"];
  }
  return told;
}

it("a run in f16 learns what one in f32 learns, not to the last digit", async () => {
  const [wide, narrow] = [await losses(), await losses("fp16=true")];
  expect(narrow).not.toEqual(wide);
  for (const [step, loss] of wide.entries()) expect(Math.abs((narrow[step] ?? 0) - loss)).toBeLessThan(0.002 * loss);
});

it("a step whose gradient overflows halves the loss scale and does not move the schedule on", async () => {
  const told = await runIn("overflow", ["fp16=true"], Infinity, "inf-grad:2-3");
  const skipped = told.filter((message) => message.includes("step skipped"));
  expect(skipped).toHaveLength(2);
  expect(skipped[0]).toMatch(/^step 2: the gradient norm is (NaN|Infinity) at a loss scale of 65536 /);
  expect(skipped[1]).toMatch(/at a loss scale of 32768 /);
  const linear = [0, 1, 1, 1, 2, 3].map((made) => 0.01 * (1 - made / 6));
  for (const [i, { learning_rate: rate }] of logOf("overflow").entries()) expect(rate).toBeCloseTo(linear[i] ?? 0, 12);
});

it("a run in f16 goes on with its loss scale, to the same bytes", async () => {
  const words = ["fp16=true", "lora_dropout=0.1"];
  const weights = (folder: string) => readFileSync(join(scratch, folder, "adapter_model.safetensors"));
  await runIn("whole", words, Infinity, "inf-grad:2-2");
  await runIn("broken", words, 4, "inf-grad:2-2");
  const state = JSON.parse(readFileSync(join(scratch, "broken/checkpoint-4/run_state.json"), "utf8")) as object;
  expect(state).toMatchObject({ lossScale: { scale: 32768, growthTracker: 2 }, skipped: 1 });
  await runIn("broken", words);
  expect(logOf("broken")).toEqual(logOf("whole"));
  expect(weights("broken").equals(weights("whole"))).toBe(true);
});

it.each([
  ["LoRA", ["finetuning_type=lora"], "adapter_model.safetensors"],
  ["freeze", ["finetuning_type=freeze", "freeze_trainable_layers=1"], "model.safetensors"],
  ["full", ["finetuning_type=full"], "model.safetensors"],
])("pure_bf16 trains, writes and continues in bf16: %s", async (name, method, file) => {
  const words = ["pure_bf16=true", ...method];
  const read = (folder: string, what = file) => readFileSync(join(scratch, folder, what));
  const dtypes = (bytes: Buffer) => {
    const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString();
    const { __metadata__: _, ...tensors } = JSON.parse(header) as Record<string, { dtype: string }>;
    return new Map(Object.entries(tensors).map(([key, { dtype }]) => [key, dtype]));
  };
  await runIn(`${name} whole`, words);
  await runIn(`${name} broken`, words, 3);
  const states = dtypes(read(`${name} broken`, "checkpoint-3/optimizer.safetensors"));
  const moments = [...states].filter(([key]) => key.startsWith("exp_avg"));
  expect(moments.length).toBeGreaterThan(2);
  expect(new Set(moments.map(([, dtype]) => dtype))).toEqual(new Set(["BF16"]));
  await runIn(`${name} broken`, words);
  expect(new Set(dtypes(read(`${name} whole`)).values())).toEqual(new Set(["BF16"]));
  expect(read(`${name} broken`).equals(read(`${name} whole`))).toBe(true);
  const [wide, narrow] = [await losses(...method), logOf(`${name} whole`)];
  for (const [step, loss] of wide.entries())
    expect(Math.abs((narrow[step]?.loss ?? 0) - loss)).toBeLessThan(0.05 * loss);
});

it("keys reach the model", () => {
  const modelOf = (...words: string[]) => {
    const base = openBase(configOf(...words));
    const engine = Engine.open({ threads: 1 });
    const { model } = loadModel(base, { engine, config: configOf(...words), emit: () => undefined });
    base.weights.close();
    const dtypes = new Map([...model.namedParameters()].map(([name, { tensor }]) => [name, tensor.dtype]));
    const layer = "model.layers.0.self_attn.q_proj";
    const [frozen, trained] = [dtypes.get(`${layer}.base.weight`), dtypes.get(`${layer}.lora_A`)];
    return { frozen, trained, shares: model.sharesPrefixes, recomputes: model.recomputes };
  };
  expect(modelOf()).toEqual({ frozen: "f32", trained: "f32", shares: true, recomputes: false });
  expect(modelOf("bf16=true")).toMatchObject({ frozen: "bf16", trained: "f32" });
  expect(modelOf("fp16=true")).toMatchObject({ frozen: "f16", trained: "f32" });
  expect(modelOf("pure_bf16=true")).toMatchObject({ frozen: "bf16", trained: "bf16" });
  expect(modelOf("share_prefixes=false", "gradient_checkpointing=true")).toMatchObject({
    shares: false,
    recomputes: true,
  });
});
