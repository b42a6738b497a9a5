// Every method on a base that stays in codes learns what it learns on the base those codes stand for, and continues to the
// same bytes; what it learned is merged into the weights that the codes stand for. The base in f32 is the export of the one
// in codes. LLM.int8 rounds activations too: it is held against f32 where all of them are outliers, which stay floats.
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
interface Base {
  /** As docs/methods.md names it. */
  name: string;
  words: readonly string[];
  /** Words for a run whose numbers are to be those of the expanded base. */
  exact: readonly string[];
}
const bases: readonly Base[] = [
  { name: "nf4", words: ["quantization_bit=4"], exact: [] },
  { name: "int8", words: ["quantization_bit=8"], exact: ["llm_int8_threshold=0.000001"] },
];
const model = [`model_name_or_path=${join(fixtures, "qlora/model")}`, "template=chatml"];
const expanded = ({ name }: Base): string[] => [`model_name_or_path=${scratch}/${name}-expanded`, "template=chatml"];
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

async function exported(folder: string, words: readonly string[]): Promise<Buffer> {
  const { config } = loadConfig([...words, `export_dir=${folder}`, "infer_dtype=float32"], "export");
  await runExport(config, silent);
  return readFileSync(join(folder, "model.safetensors"));
}

beforeAll(async () => {
  for (const { name, words } of bases) await exported(`${scratch}/${name}-expanded`, [...model, ...words]);
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

const methods: readonly [name: string, words: readonly string[]][] = [
  ["lora", []],
  ["dora", ["use_dora=true"]],
  ["loha", ["finetuning_type=loha"]],
  ["ia3", ["finetuning_type=ia3", "ia3_target=q_proj,down_proj", "feedforward_modules=down_proj"]],
  ["oft", ["finetuning_type=oft", "oft_block_size=8"]],
  ["boft", ["finetuning_type=boft"]],
  ["prompt tuning", ["finetuning_type=prompt_tuning", "num_virtual_tokens=3"]],
  ["prefix tuning", ["finetuning_type=prefix_tuning", "num_virtual_tokens=3"]],
  ["pfeiffer", ["finetuning_type=pfeiffer"]],
  ["houlsby", ["finetuning_type=houlsby"]],
];
const attached = ["prompt tuning", "prefix tuning", "pfeiffer", "houlsby"];

describe.each(methods.flatMap(([name, words]) => bases.map((base) => [name, base.name, words, base] as const)))(
  "%s on %s",
  (name, baseName, words, base) => {
    const folder = join(scratch, `${name} ${baseName}`);
    const quantized = [...model, ...base.words];

    it("has the losses and gradient norms of the expanded base", async () => {
      const ours = await train(`${folder}-exact`, [...quantized, ...base.exact, ...words]);
      const theirs = await train(`${folder}-expanded`, [...expanded(base), ...words]);
      expect(ours.length).toBe(4);
      for (const [i, { loss, grad_norm }] of theirs.entries()) {
        expect(Math.abs((ours[i]?.loss ?? 0) - loss) / loss).toBeLessThan(1e-6);
        expect(Math.abs((ours[i]?.grad_norm ?? 0) - grad_norm) / grad_norm).toBeLessThan(1e-5);
      }
      expect(theirs.at(-1)?.loss).not.toBe(theirs[0]?.loss);
      shown(name, baseName, ["trains", "gradients"]);
    });

    it("continues from a checkpoint to the same bytes", async () => {
      await train(folder, [...quantized, ...words]);
      await train(`${folder}-again`, [...quantized, ...words, `resume_from_checkpoint=${folder}/checkpoint-2`]);
      expect(weightsOf(folder)).not.toBe("");
      expect(weightsOf(`${folder}-again`)).toBe(weightsOf(folder));
      shown(name, baseName, ["resumes bit-exactly"]);
    });

    it("is merged into the expanded weights, or refused", async () => {
      const adapter = [`adapter_name_or_path=${folder}`, ...words];
      const merged = exported(`${folder}-merged`, [...quantized, ...adapter]);
      if (attached.includes(name)) await expect(merged).rejects.toThrow("cannot be merged");
      else {
        const theirs = await exported(`${folder}-expanded-merged`, [...expanded(base), ...adapter]);
        expect((await merged).equals(theirs)).toBe(true);
      }
      shown(name, baseName, ["merges"], attached.includes(name) ? "refused" : "✓");
    });
  },
);
