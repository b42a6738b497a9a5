// What `bf16`, `share_prefixes` and `gradient_checkpointing` of a configuration do to the model that trains, and that a run
// in bf16 learns what one in f32 does. The reference's own bf16 run is compared by `npm run bench -- lora-step`.
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
  expect(modelOf("share_prefixes=false", "gradient_checkpointing=true")).toMatchObject({
    shares: false,
    recomputes: true,
  });
});
