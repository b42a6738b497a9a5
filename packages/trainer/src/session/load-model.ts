// From a model on disk and a configuration to modules on a backend: weights, adapters, what trains.

import { checkWeights, loadTensor, readAdapterFolder, Scratch, type WeightSource } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { initialWeights, type ConfigRecord, type NamedArchitecture } from "@welltempered/models";
import type { CausalLM } from "@welltempered/nn";
import { Adapter, AdapterError, chooseTrained, isMergeable, readAdapterConfig } from "@welltempered/peft";
import { CountingBackend } from "@welltempered/kernels";
import { cast, Engine, type Shape, type Tensor } from "@welltempered/tensor";
import { availableMemory } from "#node";
import { halfOf, trainedDtype, type Half } from "./engine.ts";
import { checkMemory } from "../memory.ts";
import { addValueHead, checkValueHead } from "./value-head.ts";
import { checkQuantizable, codecOf, loadWeight, tellDequantized } from "./quantize.ts";
import { isAdapterType, newAdapter, type Origin } from "./new-adapter.ts";
import { named } from "./named.ts";
import { checkVocabulary, trainsVocabulary, writtenAgain, type Base } from "./vocabulary.ts";

export interface LoadedModel {
  model: CausalLM;
  /** The last adapter, not merged; undefined where there is none. */
  adapter: Adapter | undefined;
  /** config.json as the model was built with it. */
  config: ConfigRecord;
  floatFields: NamedArchitecture["floatFields"];
  /** Weights that the checkpoint holds in half precision. */
  storedDtype: "float32" | "bfloat16" | "float16";
  /** What trained weights are held in. */
  trainedIn: "f32" | "bf16";
}

export interface LoadOptions {
  engine: Engine;
  config: RunConfig;
  /** Bytes that the run will hold at most, refused where the machine has not as many; those of the model alone unless given. */
  needed?: number | undefined;
  emit: Emit;
  /** Ids of a text as the model's tokenizer makes them, for adapters that may start from one. */
  tokenize?: (text: string) => readonly number[];
  /** What matrices may be rounded to; that of the run for a base that nothing trains unless given. */
  narrows?: Half | undefined;
}

/** How many numbers a model has, and how many of them train. */
export function parameterCounts(model: CausalLM): { trainableParameters: number; allParameters: number } {
  const all = [...model.namedParameters()].map(([, parameter]) => parameter);
  const count = (of: typeof all): number => of.reduce((sum, { size }) => sum + size, 0);
  return { trainableParameters: count(all.filter(({ trainable }) => trainable)), allParameters: count(all) };
}

/** Builds the model, merges or attaches adapters, and marks what trains. */
export function loadModel(base: Base, options: LoadOptions): LoadedModel {
  const { engine, config, tokenize, emit, narrows = halfOfBase(config) } = options;
  const { architecture, vocabulary, weights } = base;
  const codec = codecOf(config);
  checkQuantizable(config, weights);
  checkMergeable(toMerge(config));
  checkValueHead(config, emit);
  const expected = (vocabulary?.stored ?? architecture).expectedWeights();
  if (!config.trainFromScratch)
    checkWeights(
      weights,
      shapesOf(expected),
      expected.has("lm_head.weight") ? {} : { optional: new Set(["lm_head.weight"]) },
    );
  const trained = trainedWeights(config, [...expected.keys()]);
  checkMemory(options.needed ?? weighed(base, options), availableMemory(engine.backend), config.modelNameOrPath);
  const range = typeof base.config["initializer_range"] === "number" ? base.config["initializer_range"] : 0.02;
  const scratch = new Scratch();
  const source = config.trainFromScratch
    ? initialWeights(engine, range, architecture.freshNorm)
    : (name: string, shape: Shape): Tensor => {
        const weight = engine.adopt(loadWeight(engine.backend, weights, name, shape, codec, scratch));
        const rounds = narrows !== undefined && (shape.length === 2 || (config.doTrain && config.pureBf16));
        return rounds ? narrow(weight, narrows) : weight;
      };
  const model = architecture.build(engine, vocabulary?.grow(engine, source) ?? source);
  model.neftuneAlpha = config.neftuneNoiseAlpha ?? 0;
  model.sharesPrefixes = config.sharePrefixes;
  model.recomputes = config.gradientCheckpointing;
  const settings = vocabulary === undefined ? config : trainsVocabulary(config, model);
  const adapter = isAdapterType(config.finetuningType)
    ? attach(engine, model, settings, { record: base.config, tokenize, emit })
    : undefined;
  addValueHead(engine, model, config, base.config);
  const trainedIn = config.doTrain ? trainedDtype(config) : "f32";
  trainWeights(engine, model, trainedIn, trained);
  const { names, floatFields } = architecture;
  return {
    model,
    adapter,
    config: { ...names, ...base.config },
    floatFields,
    storedDtype: storedDtype(weights),
    trainedIn,
  };
}

/** The base without the bytes of its weights, for a backend without numbers. */
export const unread = (base: Base): Base => ({
  ...base,
  weights: { ...base.weights, read: () => new Uint8Array() },
});

/** Bytes of the model alone. */
function weighed(base: Base, options: LoadOptions): number {
  const engine = new Engine(new CountingBackend());
  loadModel(unread(base), { ...options, engine, needed: 0, emit: () => {} });
  return engine.liveBytes();
}

/** What the base may be rounded to: nothing writes it back, or in the same dtype. */
const halfOfBase = (config: RunConfig): Half | undefined =>
  config.doTrain && (isAdapterType(config.finetuningType) || config.pureBf16) ? halfOf(config) : undefined;

/** bf16 becomes f16 too, which products are then of without converting it each time. */
function narrow(weight: Tensor, half: Half): Tensor {
  if (weight.dtype !== "f32" && !(weight.dtype === "bf16" && half === "f16")) return weight;
  const narrowed = weight.engine.noGrad(() => cast(weight, half));
  weight.dispose();
  return narrowed;
}

const shapesOf = (expected: ReadonlyMap<string, Shape>): Map<string, { shape: Shape }> =>
  new Map([...expected].map(([name, shape]) => [name, { shape }]));

/** Names of the model's own weights that train; none where an adapter does. */
function trainedWeights(config: RunConfig, names: readonly string[]): ReadonlySet<string> {
  if (!config.doTrain || isAdapterType(config.finetuningType)) return new Set();
  if (config.finetuningType === "full") return new Set(names);
  const { freezeTrainableLayers: layers, freezeTrainableModules: modules, freezeExtraModules: extraModules } = config;
  try {
    return new Set(chooseTrained(names, { layers, modules, extraModules }));
  } catch (error) {
    throw error instanceof AdapterError ? new UserError(error.message) : error;
  }
}

function storedDtype(weights: WeightSource): LoadedModel["storedDtype"] {
  const dtypes = new Set(weights.names().map((name) => weights.info(name).dtype));
  if (dtypes.has("bf16") && !dtypes.has("f32")) return "bfloat16";
  return dtypes.has("f16") && !dtypes.has("f32") ? "float16" : "float32";
}

const lastOf = ({ adapterNameOrPath, createNewAdapter }: RunConfig): string | undefined =>
  createNewAdapter ? undefined : adapterNameOrPath.at(-1);

/** All adapters but the last, which trains on; it too where a new one is asked for. */
const toMerge = (config: RunConfig): string[] =>
  lastOf(config) === undefined ? config.adapterNameOrPath : config.adapterNameOrPath.slice(0, -1);

/** Refuses adapters that cannot be merged before the model is loaded. @throws {UserError} naming the first */
export function checkMergeable(paths: readonly string[]): void {
  for (const path of paths) {
    const folder = readAdapterFolder(path);
    folder.weights.close();
    const config = named(() => readAdapterConfig(folder.config), path);
    if (!isMergeable(config))
      throw new UserError(
        `${path}: ${config.peftType} has no place in the base weights and cannot be merged; keep the folder beside the model and name it last in adapter_name_or_path`,
      );
  }
}

function attach(engine: Engine, model: CausalLM, config: RunConfig, origin: Origin): Adapter | undefined {
  for (const path of toMerge(config)) tellDequantized(loadAdapter(engine, model, path).merge(), origin.emit);
  const last = lastOf(config);
  if (last === undefined) return config.doTrain ? newAdapter(model, config, origin) : undefined;
  const adapter = loadAdapter(engine, model, last);
  if (config.doTrain && ![...adapter.tensors()].some(([, { trainable }]) => trainable))
    throw new UserError(
      `${last}: holds the result of prefix_projection and not what trains; train a new adapter, or continue a checkpoint with resume_from_checkpoint`,
    );
  return adapter;
}

function loadAdapter(engine: Engine, model: CausalLM, path: string): Adapter {
  const folder = readAdapterFolder(path);
  try {
    return named(() => {
      const adapter = new Adapter(model, readAdapterConfig(folder.config));
      const expected = adapter.expected();
      checkVocabulary(folder, expected);
      checkWeights(folder.weights, shapesOf(expected), { optional: writtenAgain(folder) });
      adapter.load((name) => cast(engine.adopt(loadTensor(engine.backend, folder.weights, name)), "f32"));
      return adapter;
    }, path);
  } finally {
    folder.weights.close();
  }
}

/** Puts what trains, and the weights of these names from now on, into the dtype that it trains in. */
export function trainWeights(
  engine: Engine,
  model: CausalLM,
  dtype: LoadedModel["trainedIn"],
  names: ReadonlySet<string> = new Set(),
): void {
  for (const [name, parameter] of model.namedParameters()) {
    if (!names.has(name) && !parameter.trainable) continue;
    if (parameter.tensor.dtype !== dtype)
      engine.noGrad(() => engine.scope(() => parameter.replace(cast(parameter.tensor, dtype))));
    parameter.trainable = true;
  }
}
