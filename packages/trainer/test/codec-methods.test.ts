// Every method on a base that stays in codes learns what it learns on the base those codes stand for, and continues to the
// same bytes. The base in f32 is the export of the one in codes.
import { loadConfig } from "@welltempered/config";
import { runExport, runTraining } from "@welltempered/trainer";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shown } from "./cells.ts";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-codec-methods-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const silent = (): void => undefined;
const quantized = [`model_name_or_path=${join(fixtures, "qlora/model")}`, "template=chatml", "quantization_bit=4"];
const expanded = [`model_name_or_path=${scratch}/expanded`, "template=chatml"];
const common = [
  `dataset_dir=${join(fixtures, "llamafactory/data")}`,
  "dataset=alpaca_plain",
  "do_train=true",
  "max_samples=8",
  "max_steps=4",
  "save_steps=2",
  "logging_steps=1",
  "per_device_train_batch_size=2",
  "cutoff_len=64",
  "learning_rate=0.01",
];

beforeAll(async () => {
  const words = [...quantized, `export_dir=${scratch}/expanded`, "infer_dtype=float32"];
  await runExport(loadConfig(words, "export").config, silent);
});

interface Entry {
  loss: number;
  grad_norm: number;
}

async function train(folder: string, words: readonly string[]): Promise<Entry[]> {
  const { config } = loadConfig([...common, ...words, `output_dir=${folder}`], "train");
  await runTraining(config, silent, () => false);
  const state = JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as { log_history: Entry[] };
  return state.log_history.filter(({ loss }) => loss !== undefined);
}

const weightsOf = (folder: string): string =>
  ["adapter_model.safetensors", "adapter.safetensors", "pytorch_adapter.safetensors"]
    .map((file) => join(folder, file))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file).toString("base64"))
    .join();

describe.each<[name: string, words: readonly string[]]>([
  ["lora", []],
  ["dora", ["use_dora=true"]],
  ["pissa", ["pissa_init=true"]],
  ["loha", ["finetuning_type=loha"]],
  ["ia3", ["finetuning_type=ia3", "ia3_target=q_proj,down_proj", "feedforward_modules=down_proj"]],
  ["oft", ["finetuning_type=oft", "oft_block_size=8"]],
  ["boft", ["finetuning_type=boft"]],
  ["prompt tuning", ["finetuning_type=prompt_tuning", "num_virtual_tokens=3"]],
  ["prefix tuning", ["finetuning_type=prefix_tuning", "num_virtual_tokens=3"]],
  ["pfeiffer", ["finetuning_type=pfeiffer"]],
  ["houlsby", ["finetuning_type=houlsby"]],
])("%s on nf4", (name, words) => {
  const folder = join(scratch, name);

  it("has the losses and gradient norms of the expanded base", async () => {
    const ours = await train(folder, [...quantized, ...words]);
    const theirs = await train(`${folder}-expanded`, [...expanded, ...words]);
    expect(ours.length).toBe(4);
    for (const [i, { loss, grad_norm }] of theirs.entries()) {
      expect(Math.abs((ours[i]?.loss ?? 0) - loss) / loss).toBeLessThan(1e-6);
      expect(Math.abs((ours[i]?.grad_norm ?? 0) - grad_norm) / grad_norm).toBeLessThan(1e-5);
    }
    expect(theirs.at(-1)?.loss).not.toBe(theirs[0]?.loss);
    shown(name, "nf4", ["trains", "gradients"]);
  });

  it("continues from a checkpoint to the same bytes", async () => {
    await train(`${folder}-again`, [...quantized, ...words, `resume_from_checkpoint=${folder}/checkpoint-2`]);
    expect(weightsOf(folder)).not.toBe("");
    expect(weightsOf(`${folder}-again`)).toBe(weightsOf(folder));
    shown(name, "nf4", ["resumes bit-exactly"]);
  });
});
