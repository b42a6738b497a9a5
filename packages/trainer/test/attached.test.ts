// Methods that wrap no projection: what they put into a model is there for every sequence, however its rows arrive, and a
// run with one continues to the same bytes.
import { loadConfig } from "@welltempered/config";
import { KvCache, packRows, type CausalLM } from "@welltempered/nn";
import type { Adapter } from "@welltempered/peft";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase, runExport, runTraining } from "@welltempered/trainer";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { shown } from "./cells.ts";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-attached-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const common = [
  `model_name_or_path=${join(fixtures, "model")}`,
  `dataset_dir=${join(fixtures, "data")}`,
  "dataset=alpaca",
  "template=default",
  "do_train=true",
  "max_samples=12",
  "val_size=4",
  "eval_strategy=steps",
  "eval_steps=3",
  "save_steps=3",
  "max_steps=6",
  "per_device_train_batch_size=1",
  "gradient_accumulation_steps=2",
  "cutoff_len=32",
  "learning_rate=0.02",
  "logging_steps=1",
  "threads=1",
];

const methods: [name: string, words: readonly string[]][] = [
  ["prompt tuning", ["finetuning_type=prompt_tuning", "num_virtual_tokens=3"]],
  ["prefix tuning", ["finetuning_type=prefix_tuning", "num_virtual_tokens=3"]],
  ["a projected prefix", ["finetuning_type=prefix_tuning", "num_virtual_tokens=3", "prefix_projection=true"]],
  ["Pfeiffer adapters", ["finetuning_type=pfeiffer"]],
  ["Houlsby adapters", ["finetuning_type=houlsby", "reduction_factor=8"]],
];

const silent = (): void => undefined;

function modelWith(words: readonly string[]): { engine: Engine; model: CausalLM; adapter: Adapter | undefined } {
  const { config } = loadConfig([...common, ...words, `output_dir=${scratch}/none`], "train");
  const engine = Engine.open({ threads: 1 });
  const { model, adapter } = loadModel(openBase(config), { engine, config, emit: silent });
  return { engine, model, adapter };
}

const sequences = [
  [5, 9, 200, 31, 7],
  [64, 8, 300],
  [17, 90, 44, 2],
];

/** Largest difference, as a share of the largest number. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  const largest = Array.from(b).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return Array.from(a).reduce((max, value, at) => Math.max(max, Math.abs(value - (b[at] ?? 0))), 0) / largest;
}

const weightsOf = (folder: string): string =>
  existsSync(join(folder, "adapter.safetensors")) ? "adapter.safetensors" : "adapter_model.safetensors";

async function run(folder: string, words: readonly string[], stopAfter = Infinity): Promise<string> {
  let asked = 0;
  const { config } = loadConfig([...common, ...words, `output_dir=${folder}`], "train");
  return (await runTraining(config, silent, () => ++asked >= stopAfter)).reason;
}

describe.each(methods)("%s", (name, words) => {
  const method = (words[0] ?? "").replace("finetuning_type=", "").replace("_", " ");

  it("is off in the reference of a preference loss, and on again after it", async () => {
    const hidden = ({ engine, model }: ReturnType<typeof modelWith>) =>
      engine.noGrad(() => engine.scope(() => model.forward(packRows(sequences)))).read();
    const [base, adapted] = [modelWith([]), modelWith(words)];
    const on = await hidden(adapted);
    expect(await adapted.adapter?.without(() => hidden(adapted))).toEqual(await hidden(base));
    expect(await hidden(adapted)).toEqual(on);
    expect(on).not.toEqual(await hidden(base));
  });

  it("acts on each of several packed rows as on the row alone", async () => {
    const { engine, model } = modelWith(words);
    const hidden = (rows: readonly number[][]) =>
      engine.noGrad(() => engine.scope(() => model.forward(packRows(rows)))).read();
    const together = Array.from(await hidden(sequences));
    const alone = (await Promise.all(sequences.map((row) => hidden([row])))).flatMap((part) => Array.from(part));
    expect(distance(together, alone)).toBeLessThan(1e-5);
  });

  it("gives a cache what the whole sequence gets", async () => {
    const { engine, model } = modelWith(words);
    const [prefix, capacity] = [model.prefix?.length ?? 0, 5];
    const cache = new KvCache(engine, { ...model.cacheShape, prefix, sequences: 2, capacity });
    const [first = [], second = []] = sequences;
    const step = (rows: readonly number[][], from: number) => {
      const packed = packRows(rows);
      const positions = packed.positions.map((position) => position + from);
      return engine.noGrad(() => engine.scope(() => model.forward({ ...packed, positions }, cache))).read();
    };
    const pieces = [await step([first.slice(0, 3), second.slice(0, 3)], 0)];
    cache.active = [0];
    for (const at of [3, 4]) pieces.push(await step([first.slice(at, at + 1)], at));
    const whole = await engine.noGrad(() => engine.scope(() => model.forward(packRows([first, second])))).read();
    const width = whole.length / (first.length + second.length);
    const [a, b] = [whole.subarray(0, 3 * width), whole.subarray(first.length * width)];
    const expected = [...a, ...b, ...whole.subarray(3 * width, 5 * width)];
    expect(
      distance(
        pieces.flatMap((piece) => Array.from(piece)),
        expected,
      ),
    ).toBeLessThan(1e-5);
    cache.dispose();
  });

  it("is continued to the same bytes, neat-packed", async () => {
    const [whole, again] = [join(scratch, `${name}-whole`), join(scratch, `${name}-again`)];
    const packed = [...words, "neat_packing=true", "cutoff_len=64"];
    expect(await run(whole, packed)).toBe("finished");
    expect(await run(again, packed, 4)).toBe("stopped");
    expect(await run(again, [...packed, "resume_from_checkpoint=true"])).toBe("finished");
    const read = (folder: string) => readFileSync(join(folder, weightsOf(folder))).toString("base64");
    expect(read(again) === read(whole)).toBe(true);
    const log = (folder: string) =>
      (
        JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as {
          log_history: Record<string, number>[];
        }
      ).log_history.map(({ loss, eval_loss: evalLoss }) => loss ?? evalLoss);
    expect(log(again)).toEqual(log(whole));
    shown(method, "f32", ["resumes bit-exactly"]);
  });

  it("is not merged: the folder is named, and what to do", async () => {
    const folder = join(scratch, `${name}-whole`);
    const words = [common[0] ?? "", `adapter_name_or_path=${folder}`];
    const { config } = loadConfig([...words, `export_dir=${scratch}/export`], "export");
    await expect(runExport(config, silent)).rejects.toThrow(/-whole: \w+ has no place in the base weights .* keep the/);
    const chain = loadConfig(
      [...common, `adapter_name_or_path=${folder},${folder}`, `output_dir=${scratch}/x`],
      "train",
    );
    await expect(runTraining(chain.config, silent, () => false)).rejects.toThrow(/has no place in the base weights/);
    shown(method, "f32", ["merges"], "refused");
  });
});

it("A projected prefix is not trained on from its file, which holds what the network made", async () => {
  const words = ["finetuning_type=prefix_tuning", `adapter_name_or_path=${join(scratch, "a projected prefix-whole")}`];
  await expect(run(join(scratch, "on"), words)).rejects.toThrow(/holds the result of prefix_projection/);
});
