// A reference model that cannot be used is refused before anything loads: neither data nor the model are there yet.
import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { join } from "node:path";
import { expect, it } from "vitest";
import { codecOf } from "../src/session/quantize.ts";
import { referenceConfig } from "../src/session/reference.ts";

const fixtures = new URL("../../../fixtures/qlora/", import.meta.url).pathname;

async function refusal(...words: string[]): Promise<string> {
  const base = [`model_name_or_path=${join(fixtures, "model")}`, "stage=dpo", "do_train=true", "dataset=nothing"];
  const { config } = loadConfig([...base, "dataset_dir=/nowhere", "output_dir=/nowhere/run", ...words], "train");
  return runTraining(
    config,
    () => undefined,
    () => false,
  ).then(
    () => "trained",
    (error: Error) => error.message,
  );
}

it.each<[string, string[], RegExp]>([
  [
    "a codec on a codec",
    ["ref_model=quantized", "ref_model_quantization_bit=4"],
    /^ref_model_quantization_bit: the model is in nf4\/64\/double already/,
  ],
  ["an adapter that is not there", ["ref_model=model", "ref_model_adapters=model"], /adapter_config\.json/],
  ["one of several that is not there", ["ref_model=model", "ref_model_adapters=model,adapter"], /adapter_config\.json/],
])("%s", async (_, words, message) => {
  const placed = words.map((word) =>
    word.replaceAll(/(=|,)(model|quantized|adapter)\b/g, (_all, mark: string, name: string) => mark + fixtures + name),
  );
  expect(await refusal(...placed)).toMatch(message);
});

it("its bits are bitsandbytes', whatever codes the model itself is in", () => {
  const words = ["model_name_or_path=m", "ref_model=r", "stage=dpo", "do_train=true", "dataset=d", "output_dir=o"];
  const keys = ["quantization_method=eetq", "quantization_bit=8", "ref_model_quantization_bit=4"];
  const { config } = loadConfig([...words, ...keys], "train");
  expect([codecOf(config), codecOf(referenceConfig(config))]).toEqual(["eetq", "nf4/64/double"]);
});
