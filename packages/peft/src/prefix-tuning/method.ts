import type { CausalLM } from "@welltempered/nn";
import type { AttachedMethod } from "../method.ts";
import { readPrefixTuningConfig, writePrefixTuningConfig, type PrefixTuningConfig } from "./config.ts";
import { PrefixEncoder, PrefixTable, type PrefixTuning } from "./prefix.ts";

function attach(model: CausalLM, config: PrefixTuningConfig): PrefixTuning {
  const { engine } = model.headWeight.tensor;
  const sizes = { length: config.numVirtualTokens, ...model.cacheShape };
  const prefix =
    config.prefixProjection && !config.inferenceMode
      ? new PrefixEncoder(engine, sizes, config.encoderHiddenSize ?? sizes.width)
      : new PrefixTable(engine, sizes);
  // What a network made cannot train on: the network is not in the file.
  if (config.prefixProjection && config.inferenceMode)
    for (const [, parameter] of prefix.adapterTensors()) parameter.trainable = false;
  model.prefix = prefix;
  return prefix;
}

export const prefixTuning: AttachedMethod<PrefixTuningConfig> = {
  read: readPrefixTuningConfig,
  write: writePrefixTuningConfig,
  attach,
};
