// Every method on a base that stays in codes learns what it learns on the base those codes stand for, and continues to the
// same bytes; what it learned is merged into the weights that the codes stand for. The base in f32 is the export of the one
// in codes. LLM.int8 rounds activations too: it is held against f32 where all of them are outliers, which stay floats.
import { loadConfig } from "@welltempered/config";
import { runExport, runTraining } from "@welltempered/trainer";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { properties, shown } from "./cells.ts";
import { methods } from "./method-table.ts";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-codec-methods-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Bases of docs/methods.md, the words that ask for one, and those for a run with the numbers of the expanded one. */
const bases: readonly [name: string, words: readonly string[], exact?: readonly string[]][] = [
  ["nf4", [`model_name_or_path=${join(fixtures, "qlora/model")}`, "quantization_bit=4"]],
  [
    "int8",
    [`model_name_or_path=${join(fixtures, "qlora/model")}`, "quantization_bit=8"],
    ["llm_int8_threshold=0.000001"],
  ],
  ["eetq", [`model_name_or_path=${join(fixtures, "qlora/model")}`, "quantization_method=eetq", "quantization_bit=8"]],
  ["GGUF", [`model_name_or_path=${join(fixtures, "gguf-model/tiny.gguf")}`]],
];

const silent = (): void => undefined;
const common = [
  `dataset_dir=${join(fixtures, "llamafactory/data")}`,
  "dataset=alpaca_plain",
  "template=chatml",
  "do_train=true",
  "max_samples=8",
  "max_steps=4",
  "save_steps=2",
  "logging_steps=1",
  "per_device_train_batch_size=2",
  "cutoff_len=64",
  "learning_rate=0.01",
  // A gradient of the size of epsilon would turn a last bit into a step.
  "adam_epsilon=0.00001",
];

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
  ["adapter_model.safetensors", "adapter.safetensors", "pytorch_adapter.safetensors", "model.safetensors"]
    .map((file) => join(folder, file))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file).toString("base64"))
    .join();

/** Weights in the codes of `quantization_bit` cannot be trained themselves. */
const isRefused = (name: string, base: readonly string[]): boolean =>
  ["freeze", "full"].includes(name) && base.some((word) => word.startsWith("quantization_bit"));

describe.each(bases)("on %s", (base, quantized, exact = []) => {
  const expanded = [`model_name_or_path=${scratch}/${base}`];
  const notices: string[] = [];
  beforeAll(async () => {
    const words = [...quantized, "template=chatml", `export_dir=${scratch}/${base}`, "infer_dtype=float32"];
    await runExport(loadConfig(words, "export").config, (event) => {
      if (event.type === "notice") notices.push(event.message);
    });
  });

  it("the layers are held in codes", () => {
    // Seven in each of two layers, and the embedding of the GGUF file.
    expect(notices.join()).toMatch(/^1[45] quantised weights are written as f32/);
  });

  describe.each(methods.filter(([name]) => !isRefused(name, quantized)))("%s", (name, words) => {
    const folder = join(scratch, `${base} ${name}`);

    it("has the losses and gradient norms of the expanded base", async () => {
      const ours = await train(`${folder}-exact`, [...quantized, ...exact, ...words]);
      const theirs = await train(`${folder}-expanded`, [...expanded, ...words]);
      expect(ours.length).toBe(4);
      for (const [i, { loss, grad_norm }] of theirs.entries()) {
        expect(Math.abs((ours[i]?.loss ?? 0) - loss) / loss).toBeLessThan(1e-6);
        expect(Math.abs((ours[i]?.grad_norm ?? 0) - grad_norm) / grad_norm).toBeLessThan(1e-5);
      }
      expect(theirs.at(-1)?.loss).not.toBe(theirs[0]?.loss);
      shown(name, base, ["trains", "gradients"]);
    });

    it("continues from a checkpoint to the same bytes", async () => {
      await train(folder, [...quantized, ...words]);
      await train(`${folder}-again`, [...quantized, ...words, `resume_from_checkpoint=${folder}/checkpoint-2`]);
      expect(weightsOf(folder)).not.toBe("");
      expect(weightsOf(`${folder}-again`) === weightsOf(folder)).toBe(true);
      shown(name, base, ["resumes bit-exactly"]);
    });
  });

  it.each(methods.filter(([name]) => isRefused(name, quantized)))(
    "%s is refused before the model loads",
    (name, words) => {
      const load = () => loadConfig([...common, ...quantized, ...words, `output_dir=${scratch}/none`], "train");
      expect(load).toThrow(/which trains the weights themselves/);
      shown(name, base, properties, "refused");
    },
  );
});
