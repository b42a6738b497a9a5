// checkpoint-<step>/: everything that a bit-exact continuation needs, written whole or not at all.

import {
  loadTensor,
  openSafetensors,
  verifyManifest,
  writeFolderAtomic,
  writeSafetensors,
  type TensorToWrite,
} from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import { UserError } from "@welltempered/formats";
import type { Optimizer } from "@welltempered/optimizers";
import { cast, type Engine } from "@welltempered/tensor";
import type { Tokenizer } from "@welltempered/tokenizer";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseRunState, toTrainerState, type RunFacts, type RunState } from "../state.ts";
import type { LoadedModel } from "./load-model.ts";
import { checkpointsIn } from "./run-folder.ts";
import { saveTrained } from "./save-model.ts";

export interface CheckpointContext {
  engine: Engine;
  loaded: LoadedModel;
  tokenizer: Tokenizer;
  optimizer: Optimizer;
  config: RunConfig;
  facts: RunFacts;
  /** What a continuation must have in common with the run that was interrupted. */
  identity: Readonly<Record<string, string | number | boolean>>;
}

/** The settings and data that decide the numbers of a run. */
export function identityOf(
  config: RunConfig,
  rows: number,
  dataHash: string,
): Record<string, string | number | boolean> {
  return {
    model: config.modelNameOrPath,
    stage: config.stage,
    finetuning_type: config.finetuningType,
    lora_rank: config.loraRank,
    seed: config.seed,
    per_device_train_batch_size: config.perDeviceTrainBatchSize,
    gradient_accumulation_steps: config.gradientAccumulationSteps,
    optim: config.optim,
    disable_shuffling: config.disableShuffling,
    rank: 0,
    world_size: 1,
    rows,
    data: dataHash,
  };
}

/** A hash of all tokens and labels, in order. */
export function hashData(examples: {
  length: number;
  get(index: number): { inputIds: Int32Array; labels: Int32Array };
}): string {
  const hash = createHash("sha256");
  for (let index = 0; index < examples.length; index++) {
    const { inputIds, labels } = examples.get(index);
    hash.update(new Uint8Array(inputIds.buffer, inputIds.byteOffset, inputIds.byteLength));
    hash.update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}

export async function saveCheckpoint(context: CheckpointContext, state: RunState): Promise<string> {
  const { config, engine, loaded, tokenizer, facts, identity } = context;
  const parent = config.outputDir ?? ".";
  const path = await writeFolderAtomic(
    parent,
    `checkpoint-${state.step}`,
    async (folder) => {
      await saveTrained(folder, engine, loaded, tokenizer, config);
      await writeFile(join(folder, "trainer_state.json"), `${JSON.stringify(toTrainerState(state, facts), null, 2)}\n`);
      if (config.saveOnlyModel) return;
      await writeFile(join(folder, "run_state.json"), `${JSON.stringify(state)}\n`);
      await writeSafetensors(join(folder, "optimizer.safetensors"), optimizerTensors(context));
    },
    { step: state.step, ...identity },
  );
  await removeOld(config, state);
  return path;
}

const optimizerTensors = ({ optimizer, engine }: CheckpointContext): TensorToWrite[] =>
  [...optimizer.state()].map(([name, tensor]) => ({
    name,
    dtype: "F32",
    shape: [...tensor.shape],
    bytes: () => engine.backend.read(tensor.slot),
  }));

/** Keeps the newest `save_total_limit`, and always the best one and the newest. Links are not followed. */
async function removeOld(
  { outputDir = ".", saveTotalLimit, loadBestModelAtEnd }: RunConfig,
  state: RunState,
): Promise<void> {
  if (saveTotalLimit === undefined) return;
  const best = loadBestModelAtEnd ? state.bestCheckpoint : undefined;
  const old = checkpointsIn(outputDir).filter(
    ({ path, step }) => step < state.step && path !== best && lstatSync(path).isDirectory(),
  );
  const kept = Math.max(
    0,
    saveTotalLimit - 1 - (best === undefined || basename(best) === `checkpoint-${state.step}` ? 0 : 1),
  );
  for (const { path } of old.slice(0, Math.max(0, old.length - kept))) await rm(path, { recursive: true });
}

/** The checkpoint to continue from: the one named, or the newest of the run folder; undefined for a fresh start. */
export function checkpointToResume({
  resumeFromCheckpoint,
  outputDir,
  overwriteOutputDir,
  doTrain,
}: RunConfig): string | undefined {
  if (!doTrain) return undefined;
  if (typeof resumeFromCheckpoint === "string") {
    if (!existsSync(resumeFromCheckpoint))
      throw new UserError(`resume_from_checkpoint: ${resumeFromCheckpoint} does not exist; name a checkpoint folder`);
    return resumeFromCheckpoint;
  }
  const newest = outputDir === undefined ? undefined : checkpointsIn(outputDir).at(-1)?.path;
  if (resumeFromCheckpoint) {
    if (newest === undefined)
      throw new UserError(`resume_from_checkpoint: ${outputDir ?? ""} holds no checkpoint; name one or start afresh`);
    return newest;
  }
  return overwriteOutputDir ? undefined : newest;
}

/** Fills model, optimizer and state from a checkpoint. @throws {UserError} naming a damaged file, or what differs */
export function restore(context: CheckpointContext, path: string): RunState {
  const { facts } = verifyManifest(path);
  compare(path, facts, context.identity);
  if (!existsSync(join(path, "run_state.json")))
    throw new UserError(`${path}: was saved with save_only_model and cannot be continued; start afresh`);
  const state = parseRunState(JSON.parse(readFileSync(join(path, "run_state.json"), "utf8")));
  if (state === undefined)
    throw new UserError(`${join(path, "run_state.json")}: is not a run state; use another checkpoint`);
  loadTrained(context.engine, context.loaded, path);
  const weights = openSafetensors(join(path, "optimizer.safetensors"));
  try {
    context.optimizer.load((name) => (weights.has(name) ? weights.read(name) : undefined));
  } finally {
    weights.close();
  }
  return state;
}

function compare(
  path: string,
  facts: Readonly<Record<string, unknown>>,
  identity: CheckpointContext["identity"],
): void {
  const differing = Object.entries(identity).filter(([key, value]) => facts[key] !== value);
  if (differing.length === 0) return;
  const list = differing.slice(0, 4).map(([key, value]) => `${key} ${String(facts[key])} → ${String(value)}`);
  throw new UserError(
    `${path}: belongs to another run (${list.join(", ")}); restore these settings or start afresh with overwrite_output_dir: true`,
  );
}

/** The trained tensors of a checkpoint, into the model. */
export function loadTrained(engine: Engine, { model, adapter }: LoadedModel, path: string): void {
  const weights =
    adapter === undefined
      ? openSafetensors(path, modelFiles(path))
      : openSafetensors(join(path, "adapter_model.safetensors"));
  const read = (name: string) => cast(engine.adopt(loadTensor(engine.backend, weights, name)), "f32");
  try {
    if (adapter !== undefined) adapter.load(read);
    else
      for (const [name, parameter] of model.namedParameters())
        engine.noGrad(() => engine.scope(() => parameter.replace(read(name))));
  } finally {
    weights.close();
  }
}

function modelFiles(path: string): string[] {
  const index = join(path, "model.safetensors.index.json");
  if (!existsSync(index)) return [join(path, "model.safetensors")];
  const { weight_map: map } = JSON.parse(readFileSync(index, "utf8")) as { weight_map: Record<string, string> };
  return [...new Set(Object.values(map))].map((name) => join(path, basename(name)));
}
