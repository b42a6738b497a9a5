// The typed configuration of a run. Names are the YAML keys in camelCase, one to one; nothing else in the project sees snake_case.
// Plain data: it crosses a worker boundary by structured clone. A key that may be absent is `undefined`, a list that is absent is empty.

export type Stage = "sft" | "pt" | "dpo" | "rm";
export type PreferenceLossName = "sigmoid" | "hinge" | "ipo" | "kto_pair" | "orpo" | "simpo";
/** Adapters by the name of their method; `freeze` trains some blocks, `full` every weight. */
export const finetuningTypes = [
  "lora",
  "loha",
  "ia3",
  "oft",
  "boft",
  "vera",
  "prompt_tuning",
  "prefix_tuning",
  "houlsby",
  "pfeiffer",
  "freeze",
  "full",
] as const;
export type FinetuningType = (typeof finetuningTypes)[number];
/** `quantization_method` → the bits it may quantise to on load. */
export const quantizationBits = {
  bnb: [4, 8],
  eetq: [8],
} as const;
export type QuantizationMethod = keyof typeof quantizationBits;
export type IntervalStrategy = "no" | "steps" | "epoch";
export type SaveStrategy = IntervalStrategy | "best";
export type InferDtype = "auto" | "float16" | "bfloat16" | "float32";
export type RopeScaling = "linear" | "dynamic" | "llama3";
export type SchedulerName =
  | "linear"
  | "cosine"
  | "cosine_with_restarts"
  | "polynomial"
  | "constant"
  | "constant_with_warmup"
  | "inverse_sqrt"
  | "reduce_lr_on_plateau"
  | "cosine_with_min_lr"
  | "cosine_warmup_with_min_lr"
  | "warmup_stable_decay"
  | "greedy";
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

export interface ModelConfig {
  /** Folder of a Hugging Face model, or a `.gguf` file. */
  modelNameOrPath: string;
  /** Adapter folders: all but the last are merged; the last one is trained on, unless `createNewAdapter`. */
  adapterNameOrPath: string[];
  /** Special tokens in user text stay plain text. `false` reproduces LlamaFactory's default. */
  splitSpecialTokens: boolean;
  /** Embedding and head get rows for tokens that have none; implied by tokens that the next keys add. */
  resizeVocab: boolean;
  addTokens: string[];
  /** Not used where `newSpecialTokensConfig` names any. */
  addSpecialTokens: string[];
  /** Resolved: special token → description, as the file says; empty without one. */
  newSpecialTokensConfig: Record<string, string>;
  initSpecialTokens: "noise_init" | "desc_init" | "desc_init_w_noise";
  trainFromScratch: boolean;
  ropeScaling: RopeScaling | undefined;
  /** undefined: weights stay as the checkpoint holds them. */
  quantizationBit: (typeof quantizationBits)[QuantizationMethod][number] | undefined;
  quantizationMethod: QuantizationMethod;
  quantizationType: "nf4" | "fp4";
  doubleQuantization: boolean;
  /** Magnitude from which activations are outliers of LLM.int8; 0: none are. */
  llmInt8Threshold: number;
  inferDtype: InferDtype;
  exportDir: string | undefined;
  /** Weights are written in the codes of bitsandbytes. */
  exportQuantized: boolean;
  /** Largest shard in units of 10⁹ bytes. */
  exportSize: number;
}

export interface DataConfig {
  /** Template name; undefined takes the tokenizer's own. */
  template: string | undefined;
  dataset: string[];
  evalDataset: string[];
  datasetDir: string;
  /** Longest row in tokens, as written in the file. LlamaFactory lowers it by one when `packingAsked`. */
  cutoffLen: number;
  trainOnPrompt: boolean;
  maskHistory: boolean;
  maxSamples: number | undefined;
  /** Below 1 a fraction of the rows, otherwise a count; 0 is off. */
  valSize: number;
  /** Resolved: asked for, implied by `neatPacking`, or the default of `stage: pt`. */
  packing: boolean;
  /** `packing: true` or `neat_packing: true` was written in the configuration. */
  packingAsked: boolean;
  neatPacking: boolean;
  defaultSystem: string | undefined;
  skipBadRows: boolean;
}

export interface FinetuningConfig {
  stage: Stage;
  finetuningType: FinetuningType;
  loraRank: number;
  /** Resolved: 2 · `loraRank` where the file gives none. */
  loraAlpha: number;
  loraDropout: number;
  /** Module names, or the single word `all`. */
  loraTarget: string[];
  additionalTarget: string[];
  useRslora: boolean;
  ia3Target: string[];
  /** Names among `ia3Target` whose input is rescaled instead of their output. */
  feedforwardModules: string[];
  oftTarget: string[];
  /** Number of blocks; 0 where `oftBlockSize` decides. */
  oftRank: number;
  /** Inputs of a block; 0 where `oftRank` decides. */
  oftBlockSize: number;
  useCayleyNeumann: boolean;
  numCayleyNeumannTerms: number;
  boftTarget: string[];
  /** Inputs of a block; 0 where `boftBlockNum` decides. */
  boftBlockSize: number;
  /** Number of blocks; 0 where `boftBlockSize` decides. */
  boftBlockNum: number;
  boftNButterflyFactor: number;
  veraTarget: string[];
  veraRank: number;
  veraDropout: number;
  /** What λ_d starts at. */
  dInitial: number;
  /** Seed of VeRA's random matrices. */
  projectionPrngKey: number;
  /** VeRA's random matrices are saved with the adapter. */
  saveProjection: boolean;
  useDora: boolean;
  pissaInit: boolean;
  /** −1: exact. */
  pissaIter: number;
  createNewAdapter: boolean;
  numVirtualTokens: number;
  promptTuningInit: "RANDOM" | "TEXT";
  promptTuningInitText: string | undefined;
  prefixProjection: boolean;
  /** Undefined: as wide as the keys of a layer. */
  encoderHiddenSize: number | undefined;
  reductionFactor: number;
  /** Undefined: relu for `pfeiffer`, swish for `houlsby`. */
  nonLinearity: "relu" | "swish" | "tanh" | undefined;
  prefLoss: PreferenceLossName;
  /** β of the preference losses. */
  prefBeta: number;
  /** Weight of the mean negative log-likelihood of the chosen answers. */
  prefFtx: number;
  /** ε of `prefLoss: sigmoid`. */
  dpoLabelSmoothing: number;
  /** γ of `prefLoss: simpo`. */
  simpoGamma: number;
  /** Undefined: the model itself, without its adapter or as it was before training. */
  refModel: string | undefined;
  refModelAdapters: string[];
  refModelQuantizationBit: RunConfig["quantizationBit"];
  /** LoRA+: learning rate of B over that of A; undefined is off. */
  loraplusLrRatio: number | undefined;
  /** LoRA+: learning rate of an embedding's B. */
  loraplusLrEmbedding: number;
  /** The last n blocks train, or the first −n. */
  freezeTrainableLayers: number;
  /** Modules of those blocks, or the single word `all`. */
  freezeTrainableModules: string[];
  /** Modules outside the blocks that train too. */
  freezeExtraModules: string[];
  disableShuffling: boolean;
  earlyStoppingSteps: number | undefined;
  plotLoss: boolean;
}

export interface TrainingConfig {
  /** Undefined only where no run folder is needed (chat, export). */
  outputDir: string | undefined;
  overwriteOutputDir: boolean;
  doTrain: boolean;
  /** Resolved: also true when `evalStrategy` is not `no`. */
  doEval: boolean;
  doPredict: boolean;
  predictWithGenerate: boolean;
  perDeviceTrainBatchSize: number;
  perDeviceEvalBatchSize: number;
  gradientAccumulationSteps: number;
  optim: "adamw_torch" | "adamw_8bit" | "adafactor" | "lion_32bit" | "sgd";
  /** Parsed `key=value` pairs: `momentum`, `nesterov`. */
  optimArgs: { momentum: number; nesterov: boolean };
  learningRate: number;
  weightDecay: number;
  adamBeta1: number;
  adamBeta2: number;
  adamEpsilon: number;
  /** 0 switches clipping off. */
  maxGradNorm: number;
  /** Layers are computed again in backward. */
  gradientCheckpointing: boolean;
  /** Frozen weights and saved activations in bf16, and products where the machine is faster so. */
  bf16: boolean;
  /** The same in f16, products on an NVIDIA GPU alone; the loss is scaled dynamically. */
  fp16: boolean;
  /** As `bf16`, and trained weights and the optimizer's moments in bf16 too. */
  pureBf16: boolean;
  /** Products in TF32, where the device has it. */
  tf32: boolean | undefined;
  /** α of NEFTune's noise; undefined is off. */
  neftuneNoiseAlpha: number | undefined;
  numTrainEpochs: number;
  /** −1: `numTrainEpochs` decides. */
  maxSteps: number;
  lrSchedulerType: SchedulerName;
  lrSchedulerKwargs: JsonObject;
  /** Fraction of all steps, 0 when `warmupSteps` holds. */
  warmupRatio: number;
  warmupSteps: number;
  loggingStrategy: IntervalStrategy;
  loggingSteps: number;
  loggingFirstStep: boolean;
  saveStrategy: SaveStrategy;
  saveSteps: number;
  saveTotalLimit: number | undefined;
  saveOnlyModel: boolean;
  evalStrategy: IntervalStrategy;
  /** Resolved: `loggingSteps` where the file gives none. */
  evalSteps: number;
  loadBestModelAtEnd: boolean;
  /** Resolved: `loss` when a best model or a plateau schedule needs one. Without the `eval_` prefix if so written. */
  metricForBestModel: string | undefined;
  /** Resolved: true unless the metric's name ends in `loss`. */
  greaterIsBetter: boolean;
  /** A checkpoint folder, or true for the last one in `outputDir`. */
  resumeFromCheckpoint: string | boolean;
  seed: number;
  dataSeed: number | undefined;
  includeNumInputTokensSeen: "no" | "all" | "non_padding";
}

export interface GeneratingConfig {
  doSample: boolean;
  temperature: number;
  topP: number;
  topK: number;
  /** Prompt and answer together; used only when `maxNewTokens` is 0. */
  maxLength: number;
  maxNewTokens: number;
  repetitionPenalty: number;
  skipSpecialTokens: boolean;
}

export interface MachineConfig {
  /** undefined: all cores the process may use. */
  threads: number | undefined;
  /** Beginnings that rows of a micro-batch have in common are computed once, where no dropout tells them apart. */
  sharePrefixes: boolean;
  device: "auto" | "cuda" | "cpu" | "wasm" | "reference";
}

export interface RunConfig
  extends ModelConfig, DataConfig, FinetuningConfig, TrainingConfig, GeneratingConfig, MachineConfig {}
