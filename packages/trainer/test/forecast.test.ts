// What a run is planned to hold against what it holds; and the arithmetic of costs.
import { loadConfig, type RunConfig } from "@welltempered/config";
import { openBackend, type Work } from "@welltempered/kernels";
import { Engine } from "@welltempered/tensor";
import { runPlan, runTraining } from "@welltempered/trainer";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { costOf, secondsOf, stepCost, type Rates } from "../src/cost.ts";
import { probe } from "../src/probe.ts";
import { dryRun } from "../src/session/dry-run.ts";
import { openBase } from "../src/session/open-base.ts";
import { loadText, loadTexts, tokenize } from "../src/session/load-text.ts";
import { methods } from "./method-table.ts";

const fixtures = new URL("../../../fixtures/llamafactory/", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "welltempered-forecast-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const pairs = ["one", "two"].map((word) => ({ prompt: `Say ${word}`, chosen: `${word}, as you wish`, rejected: "no" }));
writeFileSync(join(scratch, "pairs.json"), JSON.stringify(pairs));
writeFileSync(
  join(scratch, "dataset_info.json"),
  JSON.stringify({
    pairs: {
      file_name: "pairs.json",
      ranking: true,
      columns: { prompt: "prompt", chosen: "chosen", rejected: "rejected" },
    },
  }),
);

const common = [
  `model_name_or_path=${join(fixtures, "model")}`,
  `dataset_dir=${join(fixtures, "data")}`,
  "dataset=alpaca",
  "template=default",
  "do_train=true",
  "max_samples=2",
  "max_steps=1",
  "per_device_train_batch_size=2",
  "cutoff_len=64",
  "lora_rank=4",
  "threads=1",
];
const configOf = (words: readonly string[]): RunConfig =>
  loadConfig([...common, `output_dir=${join(scratch, "out")}`, "overwrite_output_dir=true", ...words], "train").config;

/** Most bytes that lived after any call of a real run. */
async function measured(config: RunConfig): Promise<number> {
  let most = 0;
  vi.spyOn(Engine, "open").mockImplementation((options) => {
    const backend = openBackend(options);
    const watched = new Proxy(backend, {
      get: (target, name: keyof typeof backend) => {
        const value = target[name];
        if (typeof value !== "function") return value;
        return (...words: unknown[]): unknown => {
          const result = Reflect.apply(value, target, words);
          most = Math.max(most, target.liveBytes());
          return result;
        };
      },
    });
    return new Engine(watched);
  });
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
  return most;
}

async function planned(config: RunConfig): Promise<number> {
  const base = openBase(config);
  try {
    const text = await loadText(base, config, () => undefined);
    const examples = tokenize(loadTexts(config, () => undefined).train, text, config, () => undefined);
    return (await dryRun({ base, text, examples, config })).liveBytes;
  } finally {
    base.weights.close();
  }
}

const cases: readonly (readonly [string, readonly string[]])[] = [
  ...methods,
  ["bf16", ["bf16=true"]],
  ["fp16", ["fp16=true"]],
  ["pure_bf16", ["pure_bf16=true"]],
  ["pure_bf16 in full", ["pure_bf16=true", "finetuning_type=full"]],
  ["nf4", ["quantization_bit=4"]],
  ["adamw_8bit", ["finetuning_type=full", "optim=adamw_8bit"]],
  ["adafactor", ["finetuning_type=full", "optim=adafactor"]],
  ["dpo", ["stage=dpo", "dataset=pairs", `dataset_dir=${scratch}`]],
  ["dpo in full", ["stage=dpo", "finetuning_type=full", "dataset=pairs", `dataset_dir=${scratch}`]],
  ["rm", ["stage=rm", "dataset=pairs", `dataset_dir=${scratch}`]],
];

it.each(cases)("%s holds as many bytes as planned, to the byte", async (_name, words) => {
  const config = configOf(words);
  const plan = await planned(config);
  expect(plan).toBeGreaterThan(100_000);
  expect(await measured(config)).toBe(plan);
});

describe("a plan", () => {
  it("adds its parts up, counts steps, and proposes changes only where memory is short", async () => {
    const words = ["max_steps=-1", "num_train_epochs=3", "max_samples=8", "gradient_accumulation_steps=2"];
    const forecast = await runPlan(configOf(words), () => undefined);
    const { peak, ...parts } = forecast.memory;
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes)).toBe(peak);
    expect(forecast.time.steps).toBe(6);
    expect(forecast.time.seconds).toBeCloseTo(6 * forecast.time.secondsPerStep, 9);
    expect(forecast.changes).toEqual([]);
    vi.stubEnv("TEMPER_MEMORY_LIMIT", "1000");
    const full = await runPlan(configOf([...words, "finetuning_type=full"]), () => undefined);
    expect(full.changes.length).toBeGreaterThan(0);
    for (const { peak: left } of full.changes) expect(left).toBeLessThan(full.memory.peak);
  });

  it("holds half of what full fine-tuning trains and its moments where they are pure bf16", async () => {
    const memoryOf = async (...words: string[]) =>
      (await runPlan(configOf(["finetuning_type=full", ...words]), () => undefined)).memory;
    const [wide, narrow] = [await memoryOf("bf16=true"), await memoryOf("pure_bf16=true")];
    expect(narrow.trained).toBe(wide.trained / 2);
    // Blocks are rounded up, and each count of updates is one of f32.
    expect(narrow.optimizer / wide.optimizer).toBeCloseTo(0.5, 1);
    expect(narrow.peak - narrow.program).toBeLessThan(wide.peak - wide.program);
  });

  it("takes cutoff_len for every length where no data set is named", async () => {
    const config = { ...configOf([]), dataset: [], cutoffLen: 48, maxSteps: -1 };
    const { data, time } = await runPlan(config, () => undefined);
    expect(data).toEqual({ lengths: "cutoff_len", examples: undefined });
    expect(time).toMatchObject({ tokensPerStep: 96, steps: undefined, seconds: undefined });
    const pairsOf = await runPlan({ ...config, stage: "dpo" }, () => undefined);
    expect(pairsOf.time.tokensPerStep).toBe(192);
  });
});

describe("seconds", () => {
  const rates: Rates = {
    product: ({ type }) => (type === "f32" ? 100 : 50),
    head: (op) => (op === "linearLogProb" ? 25 : undefined),
    attention: (op) => (op === "attention" ? 10 : 5),
    bytes: () => 1000,
    call: 0.5,
  };
  const work = (part: Partial<Work>): Work => ({
    op: "x",
    products: [],
    attention: undefined,
    bytes: 0,
    scratch: 0,
    ...part,
  });
  const attention = { flop: 30, headDim: 2, queries: 4, keys: 4, longest: 3 };

  it("are probed of a part of a large weight in whole blocks of its codec", () => {
    const products = [{ layout: "nt", m: 2, n: 3584, k: 18_944, type: "q4_k" }] as const;
    expect(probe(openBackend({ threads: 1 }), [work({ op: "matmul", products })]).flopPerSecond).toBeGreaterThan(0);
  });

  it("of a head are probed by the call itself, on its labelled rows", () => {
    const products = [
      { layout: "nt", m: 40, n: 512, k: 64, type: "f32" },
      { layout: "nn", m: 40, n: 64, k: 512, type: "f32" },
    ] as const;
    const rates = probe(openBackend({ threads: 1 }), [work({ op: "linearCrossEntropy", products })]);
    expect(rates.head("linearCrossEntropy")).toBeGreaterThan(0);
    expect(rates.head("linearLogProb")).toBe(undefined);
  });

  it("of products go by their shape, of heads and attention by their FLOP, of the rest by bytes", () => {
    const product = { layout: "nt" as const, m: 5, n: 2, k: 10, type: "f32" as const };
    const cost = costOf(
      [
        work({ products: [product, { ...product, type: "bf16" }], bytes: 3000 }),
        work({ op: "attention", attention, bytes: 9e9 }),
        work({ op: "attentionBackward", attention }),
        work({ op: "linearLogProb", products: [product], bytes: 9e9 }),
      ],
      rates,
    );
    // 200 FLOP each; 3 s of bytes; 30/10 and 30/5 s; 200/25 s
    expect(cost).toEqual({ products: 2 + 4 + 8, attention: 3 + 6, memory: 3, calls: 2 });
    expect(secondsOf(cost)).toBe(28);
  });

  it("of a step are those of its micro-batches on average, and of one update", () => {
    const cost = (products: number): ReturnType<typeof costOf> => ({ products, attention: 0, memory: 1, calls: 0 });
    expect(stepCost([cost(2), cost(4)], 5, cost(1))).toEqual({ products: 16, attention: 0, memory: 6, calls: 0 });
  });
});
