// A run on a backend without numbers: the real model, adapter, reference, objective and optimizer, stepped to see what
// they hold and what they cost. The one model of memory: `temper train` refuses by it what `temper plan` shows.

import type { RunConfig } from "@welltempered/config";
import { type Example, type TokenizedDataset } from "@welltempered/data";
import { CountingBackend, type Peak, type Work } from "@welltempered/kernels";
import { freshLossScale } from "@welltempered/optimizers";
import { Engine } from "@welltempered/tensor";
import type { Batch, Objective } from "../objective.ts";
import { objectives } from "../objectives/registry.ts";
import { orderOf, planFor } from "../plan.ts";
import { createSums } from "../sums.ts";
import { update } from "../update.ts";
import { halfOf } from "./engine.ts";
import { loadModel, parameterCounts, unread } from "./load-model.ts";
import { openBase } from "./open-base.ts";
import { makeOptimizer } from "./optimizer.ts";
import { loadReference, openReference } from "./reference.ts";
import type { Base, RunText } from "./vocabulary.ts";

export interface DryRunOptions {
  /** With rows for all tokens. */
  base: Base;
  text: RunText;
  examples: TokenizedDataset;
  config: RunConfig;
  /** Micro-batches whose work is told; 0: memory alone. */
  samples?: number;
}

/** What was going on when memory was taken: the phases of `Peak`. */
export type Phase = "weights" | "optimizer" | "activations" | "gradients";

export interface DryRun {
  /** Of blocks as the CPU backend takes them. */
  peak: Peak;
  /** The most that tensors have, without what rounding their blocks adds. */
  liveBytes: number;
  /** Bytes that kernels keep for themselves. */
  scratch: number;
  trainableParameters: number;
  allParameters: number;
  microBatches: MicroBatch[];
  /** Of one update, after the gradients. */
  update: Work[];
}

interface MicroBatch {
  work: Work[];
  /** Tokens that are not padding. */
  tokens: number;
}

export async function dryRun({ base, text, examples, config, samples = 0 }: DryRunOptions): Promise<DryRun> {
  const recorder = new Recorder();
  const backend = new CountingBackend((work) => recorder.add(work));
  const engine = new Engine(backend);
  engine.narrowSaved = halfOf(config);
  const enter = (phase: Phase): void => void (backend.memory.phase = phase);
  enter("weights");
  const tokenize = (words: string): readonly number[] =>
    text.tokenizer.encode(words, { addSpecialTokens: true, allowSpecial: true });
  const loaded = loadModel(unread(base), { engine, config, needed: 0, emit: () => {}, tokenize });
  const opened = openReference(config);
  const reference = loadReference(opened && unread(opened), loaded, config, engine, (of) => unread(openBase(of)));
  enter("optimizer");
  const optimizer = makeOptimizer(engine, loaded.model, config);
  const objective = objectives[config.stage]({ config, reference: reference?.pass });
  loaded.model.setTraining(objective.dropout ?? true);
  const sums = createSums(engine);
  const context = {
    engine,
    model: loaded.model,
    objective: staged(objective, enter),
    optimizer,
    maxGradNorm: config.maxGradNorm,
    lossScale: config.fp16 ? freshLossScale().scale : 1,
    afterBackward: [() => recorder.startUpdate()],
    sums,
    fault: undefined,
  };
  const step = async (window: readonly Batch[]): Promise<void> => {
    const result = await update(context, window, 0, config.learningRate);
    result?.loss.dispose();
    result?.gradNorm.dispose();
  };
  const batches = microBatches(examples, config);
  const collate = (batch: readonly number[]): Batch => objective.collate(batch.map((at) => examples.get(at)));
  for (const { members } of batches.slice(-1)) {
    const largest = collate(members);
    // Where batches accumulate, all but the first meet gradients.
    await step(config.gradientAccumulationSteps > 1 && batches.length > 1 ? [largest, largest] : [largest]);
  }
  const { peak, mostBytes: liveBytes } = backend.memory;
  const { scratch } = recorder;
  const told: MicroBatch[] = [];
  for (const { members, tokens } of spread(batches, samples)) {
    recorder.clear();
    await step([collate(members)]);
    told.push({ work: recorder.batch, tokens });
  }
  return {
    peak,
    liveBytes,
    scratch,
    ...parameterCounts(loaded.model),
    microBatches: told,
    update: recorder.update,
  };
}

/** Work in the order it is done, the update's apart. */
class Recorder {
  batch: Work[] = [];
  update: Work[] = [];
  scratch = 0;
  #updating = false;

  add(work: Work): void {
    (this.#updating ? this.update : this.batch).push(work);
    this.scratch = Math.max(this.scratch, work.scratch);
  }

  startUpdate(): void {
    this.#updating = true;
  }

  clear(): void {
    this.batch = [];
    this.update = [];
    this.#updating = false;
  }
}

/** The objective, whose forward pass makes activations; what comes after it makes gradients. */
function staged(objective: Objective<Example>, enter: (phase: Phase) => void): Objective<Example> {
  return {
    ...objective,
    loss: async (batch, context) => {
      enter("activations");
      const result = await objective.loss(batch, context);
      enter("gradients");
      return result;
    },
  };
}

interface Members {
  members: number[];
  tokens: number;
}

/** Micro-batches of the first epoch that the run comes to, those with the most tokens last. */
function microBatches(examples: TokenizedDataset, config: RunConfig): Members[] {
  const { perDeviceTrainBatchSize: size, gradientAccumulationSteps: accumulation } = config;
  const { totalSteps, batchesPerEpoch } = planFor(config, examples.length);
  const order = [...orderOf(config, examples.length, 0)];
  const tokensOf = (at: number): number => examples.get(at).inputIds.length;
  return Array.from({ length: Math.min(batchesPerEpoch, totalSteps * accumulation) }, (_, batch) => {
    const members = order.slice(batch * size, (batch + 1) * size);
    return { members, tokens: members.reduce((sum, at) => sum + tokensOf(at), 0) };
  }).sort((a, b) => a.tokens - b.tokens);
}

/** `count` of the items, each for as many. */
export function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor(((i + 0.5) * items.length) / count)] as T);
}
