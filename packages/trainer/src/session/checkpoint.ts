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
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import type { Optimizer } from "@welltempered/optimizers";
import { cast, type Engine } from "@welltempered/tensor";
import type { Tokenizer } from "@welltempered/tokenizer";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readRunState, toTrainerState, writeRunState, type RunFacts, type RunState } from "../state.ts";
import { differences, type Identity } from "./identity.ts";
import { trainWeights, type LoadedModel } from "./load-model.ts";
import { checkpointsIn } from "./run-folder.ts";
import { saveTrained, trainedFile } from "./save-model.ts";
import { languageParameters, loadValueHead } from "./value-head.ts";

export interface CheckpointContext {
  engine: Engine;
  loaded: LoadedModel;
  tokenizer: Tokenizer;
  optimizer: Optimizer;
  config: RunConfig;
  facts: RunFacts;
  /** What a continuation must have in common with the run that was interrupted. */
  identity: Identity;
}

/** A hash of all tokens and labels, in order, and of where each example ends. */
export function hashData(examples: {
  length: number;
  get(index: number): { inputIds: Int32Array; labels: Int32Array };
}): string {
  const hash = createHash("sha256");
  for (let index = 0; index < examples.length; index++) {
    const { inputIds, labels } = examples.get(index);
    hash.update(Uint32Array.of(inputIds.length));
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
      await writeFile(join(folder, "run_state.json"), writeRunState(state));
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
    dtype: tensor.dtype.toUpperCase() as TensorToWrite["dtype"],
    shape: [...tensor.shape],
    bytes: () => engine.backend.read(tensor.slot),
  }));

/** Keeps the newest `save_total_limit`, and always the best one and the newest. Links are not followed. */
async function removeOld(
  { outputDir = ".", saveTotalLimit, loadBestModelAtEnd }: RunConfig,
  state: RunState,
): Promise<void> {
  if (saveTotalLimit === undefined) return;
  const best = loadBestModelAtEnd && state.bestCheckpoint !== undefined ? basename(state.bestCheckpoint) : undefined;
  const old = checkpointsIn(outputDir).filter(
    ({ path, step }) => step < state.step && basename(path) !== best && lstatSync(path).isDirectory(),
  );
  const kept = Math.max(0, saveTotalLimit - 1 - (best === undefined || best === `checkpoint-${state.step}` ? 0 : 1));
  for (const { path } of old.slice(0, Math.max(0, old.length - kept))) await rm(path, { recursive: true });
}

/** A checkpoint whose files are all there, as they were written. */
export interface Resume {
  path: string;
  step: number;
  facts: Identity;
}

/**
 * The checkpoint to continue from: the one named, or the newest complete one of the run folder; undefined for a fresh
 * start. A damaged one that is passed over is told. @throws {UserError} naming a damaged file
 */
export function checkpointToResume(config: RunConfig, emit: Emit): Resume | undefined {
  const { resumeFromCheckpoint, outputDir, overwriteOutputDir, doTrain } = config;
  if (!doTrain) return undefined;
  if (typeof resumeFromCheckpoint === "string") {
    if (!existsSync(resumeFromCheckpoint))
      throw new UserError(`resume_from_checkpoint: ${resumeFromCheckpoint} does not exist; name a checkpoint folder`);
    return verified(resumeFromCheckpoint);
  }
  if (!resumeFromCheckpoint && overwriteOutputDir) return undefined;
  const newest = outputDir === undefined ? undefined : newestComplete(outputDir, emit);
  if (resumeFromCheckpoint && newest === undefined)
    throw new UserError(`resume_from_checkpoint: ${outputDir ?? ""} holds no checkpoint; name one or start afresh`);
  return newest;
}

/** @throws {UserError} naming the damaged file of the newest where none is whole */
function newestComplete(folder: string, emit: Emit): Resume | undefined {
  const refusals: UserError[] = [];
  for (const { path } of checkpointsIn(folder).reverse()) {
    try {
      const found = verified(path);
      for (const { message } of refusals)
        emit({ type: "notice", level: "warning", message: `${message}; continuing from ${path}` });
      return found;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refusals.push(error);
    }
  }
  if (refusals[0] !== undefined) throw refusals[0];
  return undefined;
}

function verified(path: string): Resume {
  const { facts, files } = verifyManifest(path);
  if (!files.some(({ name }) => name === "run_state.json"))
    throw new UserError(`${path}: was saved with save_only_model and cannot be continued; start afresh`);
  return { path, step: Number(facts["step"]), facts };
}

/** Fills model, optimizer and state from a checkpoint. @throws {UserError} naming what differs, or a file that is no state */
export function restore(context: CheckpointContext, { path, facts }: Resume): RunState {
  compare(path, facts, context.identity);
  const file = join(path, "run_state.json");
  const state = readRunState(readFileSync(file, "utf8"));
  if (state === undefined) throw new UserError(`${file}: is not a run state; use another checkpoint`);
  loadTrained(context.engine, context.loaded, path);
  const weights = openSafetensors(join(path, "optimizer.safetensors"));
  try {
    context.optimizer.load((name) => (weights.has(name) ? weights.read(name) : undefined));
  } finally {
    weights.close();
  }
  return { ...state, bestCheckpoint: state.bestCheckpoint && besides(path, state.bestCheckpoint) };
}

/** The best checkpoint, also where the run folder was moved since. */
function besides(path: string, best: string): string {
  const moved = join(dirname(path), basename(best));
  return !existsSync(best) && existsSync(moved) ? moved : best;
}

function compare(path: string, facts: Identity, identity: Identity): void {
  const differing = differences(facts, identity);
  if (differing.length === 0) return;
  const more = differing.length > 3 ? ` and ${differing.length - 3} more` : "";
  throw new UserError(
    `${path}: belongs to another run (${differing.slice(0, 3).join(", ")}${more}); restore these settings or start afresh with overwrite_output_dir: true`,
  );
}

/** The trained tensors of a checkpoint, into the model. */
export function loadTrained(engine: Engine, { model, adapter, trainedIn }: LoadedModel, path: string): void {
  loadValueHead(engine, model, path);
  const weights =
    adapter === undefined ? openSafetensors(path, modelFiles(path)) : openSafetensors(join(path, trainedFile(adapter)));
  const read = (name: string) => cast(engine.adopt(loadTensor(engine.backend, weights, name)), "f32");
  try {
    if (adapter !== undefined) adapter.load(read);
    else
      for (const [name, parameter] of languageParameters(model))
        if (parameter.trainable) engine.noGrad(() => engine.scope(() => parameter.replace(read(name))));
    trainWeights(engine, model, trainedIn);
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
