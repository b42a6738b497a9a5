// fit() over the same model, adapter and ids, one optimizer step for each line on standard input.
// usage: ours.mjs <folder of make_inputs.py> <threads> <learning rate> <max_grad_norm> [keys of the YAML as JSON] [timed]
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { makeConfig } from "@welltempered/config";
import { datasetOf, singleExample } from "@welltempered/data";
import { openBackend } from "@welltempered/kernels";
import { adamw, createLearningRate, decayGroups } from "@welltempered/optimizers";
import { Engine } from "@welltempered/tensor";
import { fit, freshState, loadModel, openBase, planSteps, pretrain } from "@welltempered/trainer";
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

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const requests = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** The objective of `stage: pt`, which begins when it is asked to. */
function onRequest(objective, started) {
  return {
    ...objective,
    loss: async (batch, context) => {
      const { done } = await requests.next();
      if (done) process.exit(0);
      started();
      return objective.loss(batch, context);
    },
  };
}

const opened = openBackend({
  device: "cpu",
  threads: Number(threads),
  matmulPrecision: config.bf16 ? "bf16" : "f32",
});
const native = timed === undefined ? { backend: opened, seconds: () => undefined } : timedBackend(opened);
const engine = new Engine(native.backend);
engine.narrowSaved = config.bf16;
const base = openBase(config);
const { model } = loadModel(base, { engine, config, emit: () => {} });
base.weights.close();
const parameters = [...model.namedParameters()].filter(([, { trainable }]) => trainable);
const rows = batches.flat().map((ids, row) => singleExample(Int32Array.from(ids), Int32Array.from(ids), row));
const plan = planSteps({
  examples: rows.length,
  batchSize: batches[0].length,
  accumulation: 1,
  numTrainEpochs: 1,
  maxSteps: -1,
});
say({ trainable: parameters.reduce((sum, [, { size }]) => sum + size, 0) });

const since = (begun) => (performance.now() - begun) / 1000;
let [begun, complete] = [0, 0];
await fit({
  engine,
  model,
  objective: onRequest(pretrain(), () => {
    native.seconds();
    begun = performance.now();
  }),
  examples: datasetOf(rows),
  evalExamples: undefined,
  order: () => [...rows.keys()],
  plan,
  optimizer: adamw(engine, decayGroups(parameters, 0), { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
  learningRate: createLearningRate("constant", {
    warmupSteps: 0,
    totalSteps: plan.totalSteps,
    learningRate: Number(rate),
  }),
  settings: config,
  state: freshState(),
  afterBackward: [() => void (complete = performance.now())],
  emit: (event) => {
    if (event.type !== "log") return;
    const [seconds, updateSeconds, nativeSeconds] = [since(begun), since(complete), native.seconds()];
    const { loss, gradNorm } = event;
    say({ loss, gradNorm, seconds, updateSeconds, nativeSeconds, liveBytes: engine.liveBytes() });
  },
  shouldStop: () => false,
  save: async () => {},
});
