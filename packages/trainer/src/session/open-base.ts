// The base that a configuration names, opened but not loaded.

import { openModel, readConfig, type OpenModel, type WeightSource } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import { UserError } from "@welltempered/formats";
import { architectureOf, type ConfigRecord } from "@welltempered/models";
import { named } from "./named.ts";
import type { Base } from "./vocabulary.ts";

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
