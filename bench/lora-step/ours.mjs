// Our steps over the same model, adapter and ids.
// usage: ours.mjs <folder of make_inputs.py> <threads> <learning rate> <max_grad_norm> [keys of the YAML as JSON] [timed]
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeConfig } from "@welltempered/config";
import { datasetOf, singleExample } from "@welltempered/data";
import { openBackend } from "@welltempered/kernels";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase } from "@welltempered/trainer";
import { stepOnRequest } from "../lib/steps.mjs";
import { timedBackend } from "../lib/timed-backend.mjs";

const [folder, threads, rate, maxGradNorm, keys = "{}", timed] = process.argv.slice(2);
const batches = JSON.parse(readFileSync(join(folder, "ids.json"), "utf8"));
const { finetuning_type = "lora", ...others } = JSON.parse(keys);
const adapter = join(folder, "adapter");

const { config } = makeConfig({
  model_name_or_path: join(folder, "model"),
  ...(finetuning_type === "lora" && existsSync(adapter) ? { adapter_name_or_path: adapter } : {}),
  stage: "pt",
  do_train: true,
  finetuning_type,
  ...others,
  dataset: "ids",
  output_dir: join(folder, "run"),
  per_device_train_batch_size: batches[0].length,
  learning_rate: Number(rate),
  max_grad_norm: Number(maxGradNorm),
  logging_steps: 1,
  save_strategy: "no",
});

const opened = openBackend({
  device: "cpu",
  threads: Number(threads),
  matmulPrecision: config.bf16 ? "bf16" : "f32",
});
const { backend, seconds } = timed === undefined ? { backend: opened } : timedBackend(opened);
const engine = new Engine(backend);
engine.narrowSaved = config.bf16 ? "bf16" : undefined;
const base = openBase(config);
const { model } = loadModel(base, { engine, config, emit: () => {} });
base.weights.close();
const rows = batches.flat().map((ids, row) => singleExample(Int32Array.from(ids), Int32Array.from(ids), row));
await stepOnRequest({ engine, model, config, examples: datasetOf(rows), nativeSeconds: seconds });
