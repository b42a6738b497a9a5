// What a continuation must have in common with the run that was interrupted: every setting is decided on here, so that
// a new one does not compile before it is.

import type { RunConfig } from "@welltempered/config";
import { printable, type JsonValue } from "@welltempered/formats";
import { sorted } from "../state.ts";

/** Facts of a manifest; null where a setting does not matter or is not set. */
export type Identity = Readonly<Record<string, JsonValue>>;

/**
 * - `always`: decides the numbers.
 * - `metric`: must be equal where both runs have one: a best metric is compared with the next.
 * - `free`: logging, saving, ends, answers, places. Nothing that was computed depends on it.
 * - a function: decides the numbers where it says so.
 */
type Rule = "always" | "metric" | "free" | ((config: RunConfig) => boolean);

const ofFreeze = ({ finetuningType }: RunConfig): boolean => finetuningType === "freeze";
const ofAdapter = ({ finetuningType }: RunConfig): boolean => finetuningType !== "full" && finetuningType !== "freeze";
const ofQuantized = ({ quantizationBit, refModelQuantizationBit }: RunConfig): boolean =>
  (quantizationBit ?? refModelQuantizationBit) !== undefined;
const ofVirtual = ({ finetuningType }: RunConfig): boolean =>
  finetuningType === "prompt_tuning" || finetuningType === "prefix_tuning";
const ofPrefixTuning = ({ finetuningType }: RunConfig): boolean => finetuningType === "prefix_tuning";
const ofBottleneck = ({ finetuningType }: RunConfig): boolean =>
  finetuningType === "houlsby" || finetuningType === "pfeiffer";
const ofPromptTuning = ({ finetuningType }: RunConfig): boolean => finetuningType === "prompt_tuning";
const ofMethod =
  (...types: RunConfig["finetuningType"][]) =>
  ({ finetuningType }: RunConfig): boolean =>
    types.includes(finetuningType);
const ofPissa = ({ pissaInit }: RunConfig): boolean => pissaInit;
const ofBetas = ({ optim }: RunConfig): boolean => optim !== "sgd" && optim !== "adafactor";
const ofAdamW = ({ optim }: RunConfig): boolean => optim === "adamw_torch" || optim === "adamw_8bit";
const ofLoraPlus = ({ loraplusLrRatio }: RunConfig): boolean => loraplusLrRatio !== undefined;
const ofSgd = ({ optim }: RunConfig): boolean => optim === "sgd";
const ofPairs = ({ stage }: RunConfig): boolean => stage === "dpo";
const listening = new Set<string>(["reduce_lr_on_plateau", "greedy"]);
/** The evaluations steer the learning rate. */
const ofListening = ({ lrSchedulerType }: RunConfig): boolean => listening.has(lrSchedulerType);
const endless = new Set<string>(["constant", "constant_with_warmup", "inverse_sqrt", ...listening]);
/** The learning rate depends on how long the run is. */
const ofLength = (config: RunConfig): boolean => !endless.has(config.lrSchedulerType) || config.warmupRatio > 0;
const ofEpochs = (config: RunConfig): boolean => ofLength(config) && config.maxSteps <= 0;
const warmsUp = ({ lrSchedulerType }: RunConfig): boolean =>
  lrSchedulerType !== "constant" && !listening.has(lrSchedulerType);

const rules = {
  modelNameOrPath: "always",
  adapterNameOrPath: "always",
  trainFromScratch: "always",
  ropeScaling: "always",
  quantizationBit: "always",
  quantizationMethod: ofQuantized,
  quantizationType: ofQuantized,
  doubleQuantization: ofQuantized,
  llmInt8Threshold: ofQuantized,
  resizeVocab: "always",
  addTokens: "always",
  addSpecialTokens: "always",
  newSpecialTokensConfig: "always",
  initSpecialTokens: "always",
  stage: "always",
  finetuningType: "always",
  loraRank: ofAdapter,
  loraAlpha: ofAdapter,
  loraDropout: ofAdapter,
  loraTarget: ofAdapter,
  additionalTarget: ofAdapter,
  useRslora: ofAdapter,
  ia3Target: ofMethod("ia3"),
  feedforwardModules: ofMethod("ia3"),
  oftTarget: ofMethod("oft"),
  oftRank: ofMethod("oft"),
  oftBlockSize: ofMethod("oft"),
  useCayleyNeumann: ofMethod("oft"),
  numCayleyNeumannTerms: ofMethod("oft"),
  boftTarget: ofMethod("boft"),
  boftBlockSize: ofMethod("boft"),
  boftBlockNum: ofMethod("boft"),
  boftNButterflyFactor: ofMethod("boft"),
  veraTarget: ofMethod("vera"),
  veraRank: ofMethod("vera"),
  veraDropout: ofMethod("vera"),
  dInitial: ofMethod("vera"),
  projectionPrngKey: ofMethod("vera"),
  saveProjection: ofMethod("vera"),
  useDora: ofAdapter,
  pissaInit: ofAdapter,
  pissaIter: ofPissa,
  createNewAdapter: ofAdapter,
  reductionFactor: ofBottleneck,
  nonLinearity: ofBottleneck,
  numVirtualTokens: ofVirtual,
  prefixProjection: ofPrefixTuning,
  encoderHiddenSize: ofPrefixTuning,
  promptTuningInit: ofPromptTuning,
  promptTuningInitText: ofPromptTuning,
  prefLoss: ofPairs,
  prefBeta: ofPairs,
  prefFtx: ofPairs,
  dpoLabelSmoothing: ofPairs,
  simpoGamma: ofPairs,
  refModel: ofPairs,
  refModelAdapters: ofPairs,
  refModelQuantizationBit: ofPairs,
  loraplusLrRatio: ofAdapter,
  loraplusLrEmbedding: ofLoraPlus,
  freezeTrainableLayers: ofFreeze,
  freezeTrainableModules: ofFreeze,
  freezeExtraModules: ofFreeze,
  seed: "always",
  dataSeed: "always",
  perDeviceTrainBatchSize: "always",
  gradientAccumulationSteps: "always",
  optim: "always",
  optimArgs: ofSgd,
  adamBeta1: ofBetas,
  adamBeta2: ofBetas,
  adamEpsilon: ofAdamW,
  learningRate: "always",
  weightDecay: "always",
  maxGradNorm: "always",
  bf16: "always",
  // Where they are off, checkpoints that are older than the keys go on.
  fp16: ({ fp16 }) => fp16,
  pureBf16: ({ pureBf16 }) => pureBf16,
  tf32: "always",
  gradientCheckpointing: "free",
  sharePrefixes: "always",
  neftuneNoiseAlpha: "always",
  lrSchedulerType: "always",
  lrSchedulerKwargs: "always",
  warmupRatio: warmsUp,
  warmupSteps: warmsUp,
  maxSteps: ofLength,
  numTrainEpochs: ofEpochs,
  template: "always",
  defaultSystem: "always",
  dataset: "always",
  maxSamples: "always",
  valSize: "always",
  cutoffLen: "always",
  packing: "always",
  packingAsked: "free",
  neatPacking: "always",
  trainOnPrompt: "always",
  maskHistory: "always",
  splitSpecialTokens: "always",
  disableShuffling: "always",
  includeNumInputTokensSeen: "always",
  evalDataset: ofListening,
  evalStrategy: ofListening,
  evalSteps: ofListening,
  perDeviceEvalBatchSize: ofListening,
  metricForBestModel: "metric",
  greaterIsBetter: "metric",
  // Where the rows lie and which were left out: the hash of the tokens tells.
  datasetDir: "free",
  skipBadRows: "free",
  inferDtype: "free",
  exportDir: "free",
  exportQuantized: "free",
  exportSize: "free",
  earlyStoppingSteps: "free",
  plotLoss: "free",
  outputDir: "free",
  overwriteOutputDir: "free",
  doTrain: "free",
  doEval: "free",
  doPredict: "free",
  predictWithGenerate: "free",
  loggingStrategy: "free",
  loggingSteps: "free",
  loggingFirstStep: "free",
  saveStrategy: "free",
  saveSteps: "free",
  saveTotalLimit: "free",
  saveOnlyModel: "free",
  loadBestModelAtEnd: "free",
  resumeFromCheckpoint: "free",
  doSample: "free",
  temperature: "free",
  topP: "free",
  topK: "free",
  maxLength: "free",
  maxNewTokens: "free",
  repetitionPenalty: "free",
  skipSpecialTokens: "free",
  // Sums have one order whatever the number of threads.
  threads: "free",
  // `auto` is one of the others: the backend that was opened is compared.
  device: "free",
} as const satisfies Readonly<Record<keyof RunConfig, Rule>>;

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const names = Object.keys(rules) as (keyof RunConfig)[];
const metricNames = new Set(names.filter((name) => rules[name] === "metric").map(snakeCase));

/** What a run computes with beside its settings. */
export interface Surroundings {
  /** Name of the backend. */
  backend: string;
  rows: number;
  /** Hash of all tokens and labels. */
  data: string;
}

/** The settings, data and machinery that decide the numbers of a run, under their keys. */
export function identityOf(config: RunConfig, { backend, rows, data }: Surroundings): Identity {
  const settings = names.flatMap((name): [string, JsonValue][] => {
    const rule: Rule = rules[name];
    if (rule === "free") return [];
    const matters = rule === "metric" ? config.metricForBestModel !== undefined : rule === "always" || rule(config);
    return [[snakeCase(name), matters ? ((config[name] ?? null) as JsonValue) : null]];
  });
  return { ...Object.fromEntries(settings), device: backend, rank: 0, world_size: 1, rows, data };
}

/** "key old → new" for everything that a continuation must not change and did. */
export function differences(saved: Identity, now: Identity): string[] {
  return Object.entries(now).flatMap(([key, value]) => {
    const [before, after] = [shown(saved[key]), shown(value)];
    const isFree = metricNames.has(key) && (saved[key] === null || value === null);
    return before === after || isFree ? [] : [`${key} ${printable(before, 40)} → ${printable(after, 40)}`];
  });
}

/** JSON with sorted keys; a text as it is. */
function shown(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return "none";
  if (typeof value !== "object") return String(value);
  return JSON.stringify(value, (_key, inner: JsonValue) => {
    if (typeof inner === "bigint") return Number(inner);
    return typeof inner === "object" && inner !== null && !Array.isArray(inner) ? sorted(inner) : inner;
  });
}
