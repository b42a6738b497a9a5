// Runs on the machine with the GPU: every op against the naive loops in f64, twenty steps of a tiny Llama against the CPU,
// and the speed of products and attention. `--small` cuts the sizes of the last for an emulator.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadConfig } from "@welltempered/config";
import { describeBackends, openBackend } from "@welltempered/kernels";
import { runTraining } from "@welltempered/trainer";
import { cases } from "./conformance/cases.ts";

const here = dirname(fileURLToPath(import.meta.url));
const small = process.argv.includes("--small");
const say = (text) => console.error(text);

const largest = (values, other) =>
  values.reduce((most, x, i) => (Number.isNaN(x) ? x : Math.max(most, Math.abs(x - (other?.[i] ?? 0)))), 0);

async function outputs(k, test, dtype) {
  const slots = test.run(k, dtype);
  const read = async (slot) => {
    const { buffer } = await k.read(slot);
    return k.dtype(slot) === "f64" ? new Float64Array(buffer) : new Float32Array(buffer);
  };
  return await Promise.all(slots.map(read));
}

/** As tests/conformance: within four times the error of naive f32. */
async function conformance() {
  const reference = openBackend({ device: "reference" });
  const failures = [];
  for (const test of cases) {
    const cuda = openBackend({ device: "cuda" });
    const [truth, naive] = [await outputs(reference, test, "f64"), await outputs(reference, test, "f32")];
    const ours = await outputs(cuda, test, "f32");
    for (const [i, expected] of truth.entries()) {
      const bound = 4 * largest(naive[i], expected) + 4 * 2 ** -24 * Math.max(largest(expected), 1 / 2);
      const error = largest(ours[i], expected);
      if (!(error <= bound)) failures.push({ case: test.name, output: i, error, bound });
    }
  }
  return { cases: cases.length, failures };
}

async function curve(folder, device, words) {
  const common = [
    `model_name_or_path=${join(here, "fixtures/model")}`,
    `dataset_dir=${join(here, "fixtures/data")}`,
    "dataset=alpaca_plain",
    "template=chatml",
    "do_train=true",
    "max_steps=20",
    "save_strategy=no",
    "logging_steps=1",
    "per_device_train_batch_size=2",
    "cutoff_len=64",
    "learning_rate=0.001",
    "adam_epsilon=0.00001",
    "finetuning_type=lora",
    "lora_target=all",
  ];
  const out = mkdtempSync(join(folder, `${device}-`));
  const { config } = loadConfig([...common, ...words, `device=${device}`, `output_dir=${out}`], "train");
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
  const state = JSON.parse(readFileSync(join(out, "trainer_state.json"), "utf8"));
  return state.log_history.filter(({ loss }) => loss !== undefined).map(({ loss }) => loss);
}

async function training() {
  const folder = mkdtempSync(join(tmpdir(), "gpu-check-"));
  try {
    const results = [];
    for (const [name, words] of [
      ["LoRA", ["lora_dropout=0.1"]],
      ["QLoRA", ["quantization_bit=4", "double_quantization=true"]],
      ["LoRA, bf16", ["bf16=true"]],
    ]) {
      const [cuda, cpu] = [await curve(folder, "cuda", words), await curve(folder, "cpu", words)];
      results.push({ name, steps: cuda.length, first: cuda[0], last: cuda.at(-1), apart: largest(cuda, cpu) });
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Median seconds of `work`, which a read of one number ends. */
async function seconds(k, work) {
  const [marker, times] = [k.alloc("f32", [1]), []];
  for (let i = 0; i < 7; i++) {
    const started = performance.now();
    const made = work();
    await k.read(marker);
    times.push((performance.now() - started) / 1000);
    for (const slot of made) k.free(slot);
  }
  return times.slice(2).toSorted((a, b) => a - b)[2];
}

const key = { seed: 1, stream: 2, step: 3, micro: 4, rank: 0 };

async function products() {
  const n = small ? 64 : 8192;
  const results = [];
  for (const matmulPrecision of ["f32", "bf16"]) {
    const k = openBackend({ device: "cuda", matmulPrecision });
    const type = matmulPrecision === "bf16" ? "bf16" : "f32";
    const [a, b] = [0, 1].map((stream) => k.cast(k.normal([n, n], 0, 1, { ...key, stream }), type));
    const time = await seconds(k, () => [k.matmul("nt", a, b, 1)]);
    results.push({ name: `product of ${n}³ in ${type}`, seconds: time, teraflops: (2 * n ** 3) / time / 1e12 });
  }
  return results;
}

/** Llama-3.1-8B: 32 heads over 8, 128 numbers each; four packed rows of 2,048. */
async function attention() {
  const [rows, length] = small ? [2, 40] : [4, 2048];
  const [heads, keyHeads, headDim] = [32, 8, 128];
  const results = [];
  for (const matmulPrecision of ["f32", "bf16"]) {
    const k = openBackend({ device: "cuda", matmulPrecision });
    const floats = (width, stream) => k.normal([rows * length, width * headDim], 0, 1, { ...key, stream });
    const [q, g, kk, v] = [floats(heads, 0), floats(heads, 1), floats(keyHeads, 2), floats(keyHeads, 3)];
    const numbers = Int32Array.from(
      Array.from({ length: rows }, (_, i) => [i * length, length, 1, i * length, length]).flat(),
    );
    const layout = k.upload("i32", [numbers.length], new Uint8Array(numbers.buffer));
    const options = { headDim, scale: headDim ** -0.5, window: 0, softCap: 0 };
    const [o, lse] = k.attention(q, kk, v, layout, options);
    const forward = await seconds(k, () => k.attention(q, kk, v, layout, options));
    const backward = await seconds(k, () => k.attentionBackward(g, q, kk, v, o, lse, layout, options));
    // Two products forward and five backward, of which causality leaves half.
    const flops = 2 * rows * heads * length ** 2 * headDim;
    const teraflops = [flops / forward / 1e12, (2.5 * flops) / backward / 1e12];
    results.push({ name: `attention, ${matmulPrecision}`, forward, backward, teraflops });
  }
  return results;
}

const cuda = describeBackends().backends.find(({ name }) => name === "cuda");
if (!cuda?.available) {
  console.error(`error: ${cuda?.detail}`);
  process.exit(3);
}
say(cuda.detail);
const result = { device: cuda.detail, date: new Date().toISOString() };
for (const [name, part] of Object.entries({ conformance, training, products, attention })) {
  const started = performance.now();
  result[name] = await part();
  say(`${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
const device = /^[^(]*/
  .exec(cuda.detail)?.[0]
  .trim()
  .toLowerCase()
  .replaceAll(/[^a-z0-9]+/g, "-");
const folder = join(here, "results");
mkdirSync(folder, { recursive: true });
const file = join(folder, `${device}-${result.date.slice(0, 10)}.json`);
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
console.log(file);
const apart = result.training.filter(
  ({ name, apart: distance }) => !(distance <= (name.endsWith("bf16") ? 5e-2 : 1e-3)),
);
for (const failure of [...result.conformance.failures, ...apart]) console.error(`error: ${JSON.stringify(failure)}`);
process.exit(result.conformance.failures.length + apart.length === 0 ? 0 : 1);
