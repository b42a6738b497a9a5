// Layers that are computed again in backward: the same bytes, and less memory while the loss is there.
import { loadConfig } from "@welltempered/config";
import { architectureOf, initialWeights } from "@welltempered/models";
import { packRows } from "@welltempered/nn";
import { Engine, linearCrossEntropy } from "@welltempered/tensor";
import { runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-checkpointing-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function trained(name: string, words: readonly string[]): Promise<Buffer> {
  const settings = [
    `model_name_or_path=${join(fixtures, "qlora/model")}`,
    `dataset_dir=${join(fixtures, "llamafactory/data")}`,
    "dataset=alpaca_plain",
    "template=chatml",
    "do_train=true",
    "max_samples=8",
    "max_steps=3",
    "per_device_train_batch_size=2",
    "cutoff_len=64",
    "learning_rate=0.01",
    `output_dir=${join(scratch, name)}`,
  ];
  await runTraining(
    loadConfig([...settings, ...words], "train").config,
    () => undefined,
    () => false,
  );
  return readFileSync(join(scratch, name, "adapter_model.safetensors"));
}

it.each([
  ["LoRA with dropout", ["lora_dropout=0.1"]],
  ["DoRA, which computes its weight again by itself", ["use_dora=true", "lora_dropout=0.1"]],
  ["virtual tokens", ["finetuning_type=prompt_tuning", "num_virtual_tokens=3"]],
])("the same bytes: %s", async (name, words) => {
  const plain = await trained(`${name} plain`, words);
  const again = await trained(`${name} again`, [...words, "gradient_checkpointing=true"]);
  expect(again.equals(plain)).toBe(true);
});

it("keeps the inputs of layers alone", () => {
  const engine = Engine.open({ threads: 1 });
  const sizes = {
    vocab_size: 40,
    hidden_size: 32,
    intermediate_size: 96,
    num_hidden_layers: 4,
    num_attention_heads: 4,
  };
  const model = architectureOf({ ...sizes, model_type: "llama" }).build(engine, initialWeights(engine, 0.2, 1));
  for (const [, parameter] of model.namedParameters()) parameter.trainable = true;
  model.setTraining(false); // As in stage dpo.
  const rows = packRows([Int32Array.from({ length: 100 }, (_, index) => index % 40)]);
  const labels = engine.tensor(rows.tokens);
  const held = (recomputes: boolean): number =>
    engine.scope(() => {
      model.recomputes = recomputes;
      const before = engine.liveBytes();
      const loss = linearCrossEntropy(model.forward(rows), model.headWeight.tensor, labels);
      const bytes = engine.liveBytes() - before;
      engine.backward(loss);
      return bytes;
    });
  expect(held(true)).toBeLessThan(0.35 * held(false));
});

it("prefix tuning refuses it by name", () => {
  const words = ["model_name_or_path=m", "dataset=d", "do_train=true", "output_dir=o", "finetuning_type=prefix_tuning"];
  expect(() => loadConfig([...words, "gradient_checkpointing=true"], "train")).toThrow(/gradient_checkpointing/);
});
