// A base in EETQ's codes beside the one they stand for: what is merged, exported and answered.
import { loadConfig } from "@welltempered/config";
import { runExport, runTraining } from "@welltempered/trainer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const fixtures = new URL("../../../fixtures/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-eetq-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const quantized = [
  `model_name_or_path=${join(fixtures, "qlora/model")}`,
  "template=chatml",
  "quantization_method=eetq",
  "quantization_bit=8",
];
const expanded = [`model_name_or_path=${scratch}/expanded`, "template=chatml"];
const adapter = `adapter_name_or_path=${join(fixtures, "qlora/adapter")}`;

/** What an export warns of. */
async function exported(folder: string, words: readonly string[]): Promise<string[]> {
  const messages: string[] = [];
  const { config } = loadConfig([...words, `export_dir=${scratch}/${folder}`, "infer_dtype=float32"], "export");
  await runExport(config, (event) => {
    if (event.type === "notice") messages.push(event.message);
  });
  return messages;
}

const bytesOf = (path: string): string => readFileSync(join(scratch, path)).toString("base64");

let warnings: string[] = [];
beforeAll(async () => {
  warnings = await exported("expanded", quantized);
});

it("is exported in floats that are not those of the model, and says so", async () => {
  expect(warnings).toEqual(["14 quantised weights are written as f32"]);
  await exported("plain", quantized.slice(0, 2));
  expect(bytesOf("expanded/model.safetensors")).not.toBe(bytesOf("plain/model.safetensors"));
});

it("leaves its codes for a merge, says so, and becomes the merge into what they stand for", async () => {
  expect(await exported("merged", [...quantized, adapter])).toEqual([
    "14 quantised weights became f32 for the adapter to be merged; the model is quantised no more",
  ]);
  expect(await exported("beside", [...expanded, adapter])).toEqual([]);
  expect(bytesOf("merged/model.safetensors") === bytesOf("beside/model.safetensors")).toBe(true);
});

it("answers as what its codes stand for", async () => {
  const answer = async (folder: string, words: readonly string[]): Promise<string> => {
    const predict = [
      "do_predict=true",
      "predict_with_generate=true",
      "eval_dataset=alpaca_plain",
      `dataset_dir=${fixtures}llamafactory/data`,
    ];
    const settings = ["max_samples=2", "max_new_tokens=8", "do_sample=false", `output_dir=${scratch}/${folder}`];
    const { config } = loadConfig([...words, adapter, ...predict, ...settings], "train");
    await runTraining(
      config,
      () => undefined,
      () => false,
    );
    return readFileSync(join(scratch, folder, "generated_predictions.jsonl"), "utf8");
  };
  const ours = await answer("ours", quantized);
  expect(ours.split("\n").filter(Boolean).length).toBe(2);
  expect(await answer("theirs", expanded)).toBe(ours);
});
