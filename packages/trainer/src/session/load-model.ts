// From a model on disk and a configuration to modules on a backend: weights, adapters, what trains.

import {
  checkWeights,
  loadTensor,
  openModel,
  readAdapterFolder,
  readConfig,
  Scratch,
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
  type ConfigRecord,
  type NamedArchitecture,
} from "@welltempered/models";
import type { CausalLM } from "@welltempered/nn";
import {
  Adapter,
  AdapterError,
  chooseTrained,
  isMergeable,
  readAdapterConfig,
  type AdapterConfig,
} from "@welltempered/peft";
import { CountingBackend } from "@welltempered/kernels";
import { cast, Engine, type Shape, type Tensor } from "@welltempered/tensor";
import { availableMemory } from "#node";
import { halfOf, trainedDtype, type Half } from "./engine.ts";
import { checkMemory } from "../memory.ts";
import { addValueHead, checkValueHead } from "./value-head.ts";
import { checkQuantizable, codecOf, loadWeight, tellDequantized } from "./quantize.ts";
import { bottleneckConfig, prefixSizes, promptSizes } from "./attached.ts";
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

/** Opens the model that the configuration names. Close `weights` when done. */
export function openBase(config: RunConfig): Base {
  return baseOf(
    config.trainFromScratch ? openScratch(config.modelNameOrPath) : openModel(config.modelNameOrPath),
    config,
  );
}

/** A model that is open already, as the configuration has it. */
export function baseOf(opened: OpenModel, config: RunConfig): Base {
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
    range: none,
    close: () => undefined,
  };
  // Fresh weights are in nobody's codes.
  const { quantization_config: _, ...config } = readConfig(path);
  return {
    path,
    config: config as OpenModel["config"],
    generationConfig: undefined,
    tokenizer: { kind: "folder", path, files: new Map() },
    weights,
  };
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

/** What a new adapter is made from beside the configuration. */
interface Origin {
  record: ConfigRecord;
  tokenize: LoadOptions["tokenize"] | undefined;
  emit: Emit;
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

type NewConfig = (config: RunConfig, record: ConfigRecord) => AdapterConfig;

/** `finetuning_type` → the configuration of a new adapter. */
const newConfigs = {
  lora: (config) => ({
    peftType: "LORA",
    ...placesOf(config),
    r: config.loraRank,
    alpha: config.loraAlpha,
    dropout: config.loraDropout,
    useRslora: config.useRslora,
    useDora: config.useDora,
    pissaIterations: config.pissaInit ? config.pissaIter : undefined,
    rankPattern: {},
    alphaPattern: {},
  }),
  loha: (config) => ({
    peftType: "LOHA",
    ...placesOf(config),
    r: config.loraRank,
    alpha: config.loraAlpha,
    rankPattern: {},
    alphaPattern: {},
  }),
  ia3: (config) => ({
    peftType: "IA3",
    ...placesOf(config, config.ia3Target),
    feedforwardModules: config.feedforwardModules,
  }),
  oft: (config) => ({
    peftType: "OFT",
    ...placesOf(config, config.oftTarget),
    r: config.oftRank,
    blockSize: config.oftBlockSize,
    neumannTerms: config.useCayleyNeumann ? config.numCayleyNeumannTerms : undefined,
  }),
  boft: (config) => ({
    peftType: "BOFT",
    ...placesOf(config, config.boftTarget),
    blockSize: config.boftBlockSize,
    blockNum: config.boftBlockNum,
    factors: config.boftNButterflyFactor,
  }),
  vera: (config) => ({
    peftType: "VERA",
    ...placesOf(config, config.veraTarget),
    r: config.veraRank,
    dropout: config.veraDropout,
    dInitial: config.dInitial,
    prngKey: config.projectionPrngKey,
    saveProjection: config.saveProjection,
  }),
  prompt_tuning: (config, record) => ({
    peftType: "PROMPT_TUNING",
    ...promptSizes(config, record),
    init: config.promptTuningInit,
    initText: config.promptTuningInitText ?? null,
  }),
  prefix_tuning: (config, record) => {
    const sizes = prefixSizes(config, record);
    return {
      peftType: "PREFIX_TUNING",
      ...sizes,
      prefixProjection: config.prefixProjection,
      encoderHiddenSize: config.encoderHiddenSize ?? sizes.tokenDim,
      inferenceMode: false,
    };
  },
  houlsby: (config, record) => bottleneckConfig("houlsby", config, record),
  pfeiffer: (config, record) => bottleneckConfig("pfeiffer", config, record),
} as const satisfies Record<Exclude<FinetuningType, "freeze" | "full">, NewConfig>;

const isAdapterType = (type: FinetuningType): type is keyof typeof newConfigs => Object.hasOwn(newConfigs, type);

/** The key that names the modules of a method, where one does. */
const targetKeys: Partial<Record<FinetuningType, string>> = {
  lora: "lora_target",
  loha: "lora_target",
  ia3: "ia3_target",
  oft: "oft_target",
  boft: "boft_target",
  vera: "vera_target",
};

const placesOf = (
  config: RunConfig,
  targets = config.loraTarget,
): Pick<AdapterConfig, "targetModules" | "modulesToSave"> => ({
  targetModules: targets.includes("all") ? "all-linear" : targets,
  modulesToSave: config.additionalTarget,
});

function newAdapter(model: CausalLM, config: RunConfig, { record, tokenize }: Origin): Adapter | undefined {
  const { finetuningType } = config;
  if (!isAdapterType(finetuningType)) return undefined;
  const where = targetKeys[finetuningType] ?? finetuningType;
  return named(() => new Adapter(model, newConfigs[finetuningType](config, record), tokenize), where);
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
      throw new UserError(`${where}/config.json: ${error.message}; correct the file or use another model`);
    if (error instanceof AdapterError)
      throw new UserError(`${where}: ${error.message}; correct it or use another adapter`);
    throw error;
  }
}
