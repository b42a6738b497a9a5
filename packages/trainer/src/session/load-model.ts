// From a model on disk and a configuration to modules on a backend: weights, adapters, what trains.

import {
  checkWeights,
  loadTensor,
  openModel,
  readAdapterFolder,
  readConfig,
  type OpenModel,
  type WeightSource,
} from "@welltempered/checkpoint";
import type { FinetuningType, RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import {
  architectureOf,
  initialWeights,
  ModelConfigError,
  type Architecture,
  type ConfigRecord,
} from "@welltempered/models";
import type { CausalLM } from "@welltempered/nn";
import { Adapter, AdapterError, readAdapterConfig, type AdapterConfig } from "@welltempered/peft";
import { cast, type Engine, type Shape, type Tensor } from "@welltempered/tensor";
import { join } from "node:path";
import { availableMemory, checkMemory, estimateMemory } from "../memory.ts";
import { checkQuantizable, codecOf, heldBytes, loadWeight, tellDequantized } from "./quantize.ts";

export interface LoadedModel {
  model: CausalLM;
  /** The last adapter, not merged; undefined where there is none. */
  adapter: Adapter | undefined;
  /** config.json as the model was built with it. */
  config: ConfigRecord;
  /** Weights that the checkpoint holds in half precision. */
  storedDtype: "float32" | "bfloat16" | "float16";
}

export interface LoadOptions {
  engine: Engine;
  config: RunConfig;
  /** Tokens of the longest micro-batch, for the memory estimate; 0 where nothing trains. */
  batchTokens: number;
  emit: Emit;
}

/** Opens the model that the configuration names. Close `weights` when done. */
export function openBase(config: RunConfig): OpenModel & { architecture: Architecture } {
  const opened = config.trainFromScratch ? openScratch(config.modelNameOrPath) : openModel(config.modelNameOrPath);
  const record = scaledRope(opened.config, config);
  return {
    ...opened,
    config: record as OpenModel["config"],
    architecture: named(() => architectureOf(record), opened.path),
  };
}

/** A folder with config.json and a tokenizer, from which a model with fresh weights starts. */
function openScratch(path: string): OpenModel {
  const none = (name: string): never => {
    throw new UserError(`${path}: holds no weights, ${name} was asked for; leave out train_from_scratch`);
  };
  const weights: WeightSource = {
    path,
    names: () => [],
    has: () => false,
    info: none,
    read: none,
    close: () => undefined,
  };
  return {
    path,
    config: readConfig(path),
    generationConfig: undefined,
    tokenizer: { kind: "folder", path, files: new Map() },
    weights,
  };
}

/** Builds the model, merges or attaches adapters, and marks what trains. */
export function loadModel(
  base: ReturnType<typeof openBase>,
  { engine, config, batchTokens, emit }: LoadOptions,
): LoadedModel {
  const { architecture, weights } = base;
  const expected = architecture.expectedWeights();
  const codec = codecOf(config);
  checkQuantizable(config, weights);
  if (!config.trainFromScratch)
    checkWeights(
      weights,
      shapesOf(expected),
      base.config["tie_word_embeddings"] === true ? { optional: new Set(["lm_head.weight"]) } : {},
    );
  checkMemory(needed(config, expected, weights, batchTokens), availableMemory(), config.modelNameOrPath);
  const range = typeof base.config["initializer_range"] === "number" ? base.config["initializer_range"] : 0.02;
  const source = config.trainFromScratch
    ? initialWeights(engine, range)
    : (name: string, shape: Shape): Tensor => engine.adopt(loadWeight(engine.backend, weights, name, shape, codec));
  const model = architecture.build(engine, source);
  const full = config.finetuningType === "full";
  const adapter = full ? undefined : attach(engine, model, config, emit);
  if (full && config.doTrain) trainEverything(engine, model);
  return { model, adapter, config: base.config, storedDtype: storedDtype(weights) };
}

const shapesOf = (expected: ReadonlyMap<string, Shape>): Map<string, { shape: Shape }> =>
  new Map([...expected].map(([name, shape]) => [name, { shape }]));

function needed(
  config: RunConfig,
  expected: ReadonlyMap<string, Shape>,
  weights: WeightSource,
  batchTokens: number,
): number {
  const shapes = [...expected.values()];
  const numbers = shapes.reduce((sum, shape) => sum + shape.reduce((product, extent) => product * extent, 1), 0);
  const full = config.finetuningType === "full";
  const trainable = config.doTrain && full ? numbers : 0;
  const held = full ? 4 * numbers : heldBytes(expected, weights, codecOf(config));
  return estimateMemory({ weights: held, trainable, shapes, batchTokens });
}

function storedDtype(weights: WeightSource): LoadedModel["storedDtype"] {
  const dtypes = new Set(weights.names().map((name) => weights.info(name).dtype));
  if (dtypes.has("bf16") && !dtypes.has("f32")) return "bfloat16";
  return dtypes.has("f16") && !dtypes.has("f32") ? "float16" : "float32";
}

/** Merges all adapters but the last, which trains on (or is merged too, where a new one is asked for). */
function attach(engine: Engine, model: CausalLM, config: RunConfig, emit: Emit): Adapter | undefined {
  const paths = config.adapterNameOrPath;
  const last = config.createNewAdapter ? undefined : paths.at(-1);
  for (const path of last === undefined ? paths : paths.slice(0, -1))
    tellDequantized(loadAdapter(engine, model, path).merge(), emit);
  if (last !== undefined) return loadAdapter(engine, model, last);
  return config.doTrain ? newAdapter(model, config) : undefined;
}

function loadAdapter(engine: Engine, model: CausalLM, path: string): Adapter {
  const folder = readAdapterFolder(path);
  try {
    return named(() => {
      const adapter = new Adapter(model, readAdapterConfig(folder.config));
      checkWeights(folder.weights, shapesOf(adapter.expected()));
      adapter.load((name) => cast(engine.adopt(loadTensor(engine.backend, folder.weights, name)), "f32"));
      return adapter;
    }, path);
  } finally {
    folder.weights.close();
  }
}

/** `finetuning_type` → the configuration of a new adapter. */
const newConfigs = {
  lora: (config) => ({
    peftType: "LORA",
    ...placesOf(config),
    r: config.loraRank,
    alpha: config.loraAlpha,
    dropout: config.loraDropout,
    useRslora: config.useRslora,
    rankPattern: {},
    alphaPattern: {},
  }),
} as const satisfies Record<Exclude<FinetuningType, "full">, (config: RunConfig) => AdapterConfig>;

const placesOf = ({
  loraTarget,
  additionalTarget,
}: RunConfig): Pick<AdapterConfig, "targetModules" | "modulesToSave"> => ({
  targetModules: loraTarget.includes("all") ? "all-linear" : loraTarget,
  modulesToSave: additionalTarget,
});

function newAdapter(model: CausalLM, config: RunConfig): Adapter | undefined {
  const { finetuningType } = config;
  if (finetuningType === "full") return undefined;
  return named(() => new Adapter(model, newConfigs[finetuningType](config)), "lora_target");
}

function trainEverything(engine: Engine, model: CausalLM): void {
  for (const [, parameter] of model.namedParameters()) {
    if (parameter.tensor.dtype !== "f32")
      engine.noGrad(() => engine.scope(() => parameter.replace(cast(parameter.tensor, "f32"))));
    parameter.trainable = true;
  }
}

/** `rope_scaling` of the configuration: stretched so that cutoff_len fits when training, twofold otherwise. */
function scaledRope(record: ConfigRecord, { ropeScaling, doTrain, cutoffLen }: RunConfig): ConfigRecord {
  if (ropeScaling === undefined) return record;
  const trained = Number(record["max_position_embeddings"] ?? 2048);
  if (doTrain && cutoffLen <= trained) return record;
  const factor = doTrain ? Math.ceil(cutoffLen / trained) : 2;
  const before = (record["rope_parameters"] ?? {}) as ConfigRecord;
  const llama3 = ropeScaling === "llama3" ? { low_freq_factor: 1, high_freq_factor: 4 } : {};
  const original = ropeScaling === "linear" ? {} : { original_max_position_embeddings: trained };
  const theta = before["rope_theta"] ?? record["rope_theta"] ?? 10_000;
  const parameters = { rope_type: ropeScaling, rope_theta: theta, factor, ...original, ...llama3 };
  const { rope_scaling: _, ...rest } = record;
  return {
    ...rest,
    rope_parameters: parameters,
    max_position_embeddings: ropeScaling === "dynamic" ? trained : trained * factor,
  };
}

/** Turns errors of models and adapters into one line that names the file. */
function named<T>(body: () => T, where: string): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof ModelConfigError)
      throw new UserError(`${join(where, "config.json")}: ${error.message}; correct the file or use another model`);
    if (error instanceof AdapterError)
      throw new UserError(`${where}: ${error.message}; correct it or use another adapter`);
    throw error;
  }
}
