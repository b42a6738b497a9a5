// Configurations of new adapters, one entry a method.

import type { FinetuningType, RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import type { ConfigRecord } from "@welltempered/models";
import type { CausalLM } from "@welltempered/nn";
import { Adapter, type AdapterConfig } from "@welltempered/peft";
import { bottleneckConfig, prefixSizes, promptSizes } from "./attached.ts";
import { named } from "./named.ts";

/** What a new adapter is made from beside the configuration. */
export interface Origin {
  record: ConfigRecord;
  tokenize: ((text: string) => readonly number[]) | undefined;
  emit: Emit;
}

type AdapterType = Exclude<FinetuningType, "freeze" | "full">;
type NewConfig = (config: RunConfig, record: ConfigRecord) => AdapterConfig;

/** `finetuning_type` → the configuration of a new adapter. */
const newConfigs: Record<AdapterType, NewConfig> = {
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
};

export const isAdapterType = (type: FinetuningType): type is AdapterType => Object.hasOwn(newConfigs, type);

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

export function newAdapter(model: CausalLM, config: RunConfig, { record, tokenize }: Origin): Adapter | undefined {
  const { finetuningType } = config;
  if (!isAdapterType(finetuningType)) return undefined;
  const where = targetKeys[finetuningType] ?? finetuningType;
  return named(() => new Adapter(model, newConfigs[finetuningType](config, record), tokenize), where);
}
