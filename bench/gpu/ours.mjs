// Our side of bench/gpu: a model of random weights made on the device, and its steps on request.
import { makeConfig } from "@welltempered/config";
import { singleExample } from "@welltempered/data";
import { openBackend } from "@welltempered/kernels";
import { architectureOf } from "@welltempered/models";
import { Adapter } from "@welltempered/peft";
import { cast, Engine, streamOf } from "@welltempered/tensor";
import { say, stepOnRequest } from "../lib/steps.mjs";
import { watchedBackend } from "../lib/watched-backend.mjs";
import { rowOfIds } from "./shapes.mjs";

/** More than any run makes. */
const STEPS = 1000;
/** Standard deviation 0.02. */
const BOUND = 0.02 * Math.sqrt(3);

/**
 * Uniform numbers of a stream that reference.py draws too, to the bit; norms are ones. All layers are as the first: it
 * is quantised once, by this machine's CPU, and copied. A base that trains stays in f32.
 */
function randomWeights(engine, { finetuning, quantized }) {
  const made = new Map();
  const matrix = (name, shape) => {
    const drawn = engine.uniform(shape, -BOUND, BOUND, streamOf(name));
    if (finetuning === "full") return drawn;
    const narrow = cast(drawn, "bf16");
    return quantized && name.includes(".layers.") ? cast(narrow, "nf4/64/double") : narrow;
  };
  const weights = (name, shape) => {
    if (shape.length === 1) return engine.ones(shape);
    const first = name.replace(/\.layers\.\d+\./, ".layers.0.");
    if (!quantized || first === name) return remember(first, matrix(first, shape));
    return engine.adopt(engine.backend.copy(made.get(first)));
  };
  const remember = (name, tensor) => {
    made.set(name, tensor.slot);
    return tensor;
  };
  return weights;
}

function modelOf(engine, run) {
  const { model: record, finetuning, r, alpha } = run;
  const model = architectureOf({ model_type: "llama", ...record }).build(engine, randomWeights(engine, run));
  if (finetuning === "full") for (const [, parameter] of model.namedParameters()) parameter.trainable = true;
  else
    new Adapter(model, {
      peftType: "LORA",
      targetModules: "all-linear",
      modulesToSave: [],
      r,
      alpha,
      dropout: 0,
      useRslora: false,
      useDora: false,
      rankPattern: {},
      alphaPattern: {},
    });
  return model;
}

const configOf = (run) =>
  makeConfig({
    model_name_or_path: run.shape,
    stage: "pt",
    do_train: true,
    finetuning_type: run.finetuning,
    dataset: "ids",
    output_dir: "none",
    bf16: true,
    per_device_train_batch_size: run.rows,
    learning_rate: run.learningRate,
    max_grad_norm: run.maxGradNorm,
    logging_steps: 1,
    save_strategy: "no",
  }).config;

async function trainOnRequest(run) {
  const { backend, watch, peak } = watchedBackend(openBackend({ device: "cuda", matmulPrecision: "bf16" }));
  const engine = new Engine(backend);
  engine.narrowSaved = "bf16";
  engine.rng.seed = run.seed;
  const ids = (row) => rowOfIds(run, row);
  const model = modelOf(engine, run);
  // Asking gives back to the device what waits in the pool.
  backend.availableBytes();
  watch();
  await stepOnRequest({
    engine,
    model,
    config: configOf(run),
    examples: { length: STEPS * run.rows, get: (row) => singleExample(ids(row), ids(row), row) },
    other: ({ peak: asksPeak, trim }) => {
      if (asksPeak) return { tensors: peak() };
      return trim ? { available: backend.availableBytes() ?? null } : undefined;
    },
  });
}

/** A run of `benchCases` in a process of its own: JSON lines on standard input and output. */
export const oursOnRequest = (run) =>
  trainOnRequest(run).catch((error) => say({ error: error.message, outOfMemory: error.code === "OUT_OF_MEMORY" }));
