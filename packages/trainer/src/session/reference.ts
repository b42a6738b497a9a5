// The model that a preference loss measures against: the trained one without its adapter, or a frozen one beside it.

import { readAdapterFolder } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import { UserError } from "@welltempered/formats";
import { preferenceLosses } from "@welltempered/rlhf";
import type { Engine } from "@welltempered/tensor";
import type { ReferencePass } from "../objectives/dpo.ts";
import { checkMergeable, loadModel, type LoadedModel } from "./load-model.ts";
import { openBase } from "./open-base.ts";
import { checkQuantizable } from "./quantize.ts";
import type { Base } from "./vocabulary.ts";

export interface Reference {
  pass: ReferencePass;
  dispose(): void;
}

/** Whether the run compares with a reference. */
export const needsReference = ({ stage, prefLoss }: RunConfig): boolean =>
  stage === "dpo" && preferenceLosses[prefLoss].reference;

/** Opens `ref_model`, so that a wrong one is refused before anything loads. Undefined where none is named. */
export function openReference(config: RunConfig): Base | undefined {
  if (!needsReference(config) || config.refModel === undefined) return undefined;
  const settings = referenceConfig(config);
  checkMergeable(settings.adapterNameOrPath.slice(0, -1));
  for (const path of settings.adapterNameOrPath.slice(-1)) readAdapterFolder(path).weights.close();
  const base = openBase(settings);
  checkQuantizable(settings, base.weights, "ref_model_quantization_bit");
  return base;
}

/**
 * To be called before a checkpoint is restored: what is loaded beside the model is the model as it was. Its memory is
 * part of the run's.
 */
export function loadReference(
  opened: Base | undefined,
  { model, adapter }: LoadedModel,
  config: RunConfig,
  engine: Engine,
  open: (config: RunConfig) => Base = openBase,
): Reference | undefined {
  if (!needsReference(config)) return undefined;
  if (opened === undefined && adapter !== undefined)
    return { pass: (pass) => adapter.without(() => pass(model)), dispose: () => {} };
  const base = opened ?? open(referenceConfig(config));
  try {
    const frozen = loadModel(base, {
      engine,
      config: { ...referenceConfig(config), doTrain: false },
      needed: 0,
      emit: () => {},
    });
    checkVocabulary(config, frozen.model.headWeight.shape[0], model.headWeight.shape[0]);
    return { pass: (pass) => pass(frozen.model), dispose: () => frozen.model.dispose() };
  } finally {
    base.weights.close();
  }
}

function checkVocabulary({ refModel }: RunConfig, found = 0, wanted = 0): void {
  if (found === wanted) return;
  throw new UserError(
    `ref_model: ${refModel} has ${found} tokens, the model ${wanted}; use one with the model's own tokenizer`,
  );
}

/** `ref_model` with its own adapters and codec, or the model itself without any. */
export const referenceConfig = (config: RunConfig): RunConfig => ({
  ...config,
  modelNameOrPath: config.refModel ?? config.modelNameOrPath,
  trainFromScratch: config.trainFromScratch && config.refModel === undefined,
  finetuningType: "lora",
  quantizationBit: config.refModelQuantizationBit,
  quantizationMethod: "bnb",
  adapterNameOrPath: config.refModelAdapters,
  createNewAdapter: false,
});
