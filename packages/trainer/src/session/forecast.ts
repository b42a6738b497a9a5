// runPlan: what a training run will hold and how long it will take, before anything of the model is read.

import type { RunConfig } from "@welltempered/config";
import { datasetOf, isOfPairs, singleExample, type Example, type TokenizedDataset } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import type { Engine } from "@welltempered/tensor";
import { costOf, secondsOf, stepCost, type Cost } from "../cost.ts";
import { availableMemory } from "#node";
import { planFor } from "../plan.ts";
import { probe } from "../probe.ts";
import { halfOf, openEngine, trainedDtype } from "./engine.ts";
import { changesOf } from "./changes.ts";
import { dryRun, spread, type DryRun, type Phase } from "./dry-run.ts";
import { openBase } from "./open-base.ts";
import { loadText, loadTexts, tokenize } from "./load-text.ts";
import { resizeVocab, type Base, type RunText } from "./vocabulary.ts";

/** Rows that are tokenised; of more, as many of them evenly. */
const ROWS = 2000;
/** Micro-batches whose work is counted. */
const SAMPLES = 8;
/** Bytes of the second isolate in which `temper train` computes: an estimate. */
const WORKER = 30e6;
/** What glibc keeps of small blocks it was given back, at most: an estimate. */
const KEPT = 20e6;

export interface Forecast {
  model: { path: string; parameters: number; trainable: number };
  data: {
    /** What lengths were taken from. */
    lengths: "dataset" | "cutoff_len";
    /** Examples of an epoch; undefined without a data set. */
    examples: number | undefined;
  };
  /** Bytes at the moment when most are held, which `peak` sums up. */
  memory: Record<Phase | "trained" | "kernels" | "program" | "peak", number>;
  availableMemory: number;
  /** What would save most, where the run does not fit. */
  changes: { settings: string; peak: number }[];
  time: {
    tokensPerStep: number;
    secondsPerStep: number;
    /** Where they go. */
    cost: Cost;
    /** Undefined where neither data nor `max_steps` says it. */
    steps: number | undefined;
    seconds: number | undefined;
  };
  machine: { device: string; flopPerSecond: number; bytesPerSecond: number };
}

/** @throws {UserError} with the exit code of the command */
export async function runPlan(config: RunConfig, emit: Emit): Promise<Forecast> {
  const base = openBase(config);
  try {
    const text = await loadText(base, config, emit);
    const resized = resizeVocab(base, text, config, emit);
    const sample = sampleOf(config, text, resized, emit);
    // This process has loaded what the run will, but for numbers.
    const program = process.memoryUsage.rss() + WORKER;
    const dry = await dryRun({ base: resized, text, examples: sample.examples, config, samples: SAMPLES });
    const memory = memoryOf(config, dry, program);
    const engine = openEngine(config, halfOf(config));
    const available = availableMemory(engine.backend);
    const fits = memory.peak <= available;
    const changes = fits ? [] : await changesFrom({ config, base, text, examples: sample.examples }, memory);
    const { total } = sample;
    return {
      model: { path: config.modelNameOrPath, parameters: dry.allParameters, trainable: dry.trainableParameters },
      data: { lengths: total === undefined ? "cutoff_len" : "dataset", examples: total },
      memory,
      availableMemory: available,
      changes,
      ...timesOf(config, dry, sample, engine),
    };
  } finally {
    base.weights.close();
  }
}

/**
 * The three settings that would save most of what a run holds, the best first, each as `key: value (0.12 GB less)`;
 * fewer where fewer help.
 * @throws {UserError} where the run is refused for something else
 */
export async function savingsOf(config: RunConfig): Promise<string[]> {
  const base = openBase(config);
  try {
    const silent: Emit = () => {};
    const text = await loadText(base, config, silent);
    const resized = resizeVocab(base, text, config, silent);
    const { examples } = sampleOf(config, text, resized, silent);
    const memory = memoryOf(config, await dryRun({ base: resized, text, examples, config }), 0);
    const changes = await changesFrom({ config, base, text, examples }, memory);
    const less = (peak: number): string => `${((memory.peak - peak) / 1e9).toPrecision(2)} GB less`;
    return changes.map(({ settings, peak }) => `${settings} (${less(peak)})`);
  } finally {
    base.weights.close();
  }
}

interface Run {
  config: RunConfig;
  base: Base;
  text: RunText;
  examples: TokenizedDataset;
}

function changesFrom({ config, base, text, examples }: Run, memory: Forecast["memory"]): Promise<Forecast["changes"]> {
  const peak = (changed: RunConfig): Promise<number> => {
    const same = changed.cutoffLen === config.cutoffLen;
    return peakOf(changed, base, text, memory.program, same ? examples : undefined);
  };
  return changesOf(config, peak, memory);
}

interface Sample {
  examples: TokenizedDataset;
  /** Examples of an epoch that they stand for; undefined where there is no data set. */
  total: number | undefined;
}

function sampleOf(config: RunConfig, text: RunText, base: Base, emit: Emit): Sample {
  if (config.dataset.length === 0)
    return { examples: ofCutoff(config, Number(base.config["vocab_size"])), total: undefined };
  const { train } = loadTexts(config, emit);
  const examples = tokenize(spread(train, ROWS), text, config, emit);
  return { examples, total: Math.round((examples.length * train.length) / Math.min(ROWS, train.length)) };
}

/** A step of examples that are as long as they may be, every token a label, none begun alike. */
function ofCutoff(config: RunConfig, vocabulary: number): TokenizedDataset {
  const { cutoffLen, perDeviceTrainBatchSize, gradientAccumulationSteps } = config;
  const pairs = isOfPairs(config.stage);
  const length = pairs ? 2 * cutoffLen : cutoffLen;
  const rows = perDeviceTrainBatchSize * gradientAccumulationSteps;
  return datasetOf(
    Array.from({ length: rows }, (_, row) => {
      const ids = Int32Array.from({ length }, (_, at) => (2 * row + at + Math.floor(at / cutoffLen)) % vocabulary);
      const example = singleExample(ids, ids, row);
      return pairs ? asPair(example, cutoffLen) : example;
    }),
  );
}

const asPair = (example: Example, length: number): Example => ({
  ...example,
  segmentLengths: Int32Array.of(length, length),
  positions: example.positions.map((at) => at % length),
});

/** Of a changed configuration; `known` are the examples where the change leaves them as they are. */
async function peakOf(
  config: RunConfig,
  base: Base,
  text: RunText,
  program: number,
  known?: TokenizedDataset,
): Promise<number> {
  const resized = resizeVocab(base, text, config, () => {});
  const examples = known ?? sampleOf(config, text, resized, () => {}).examples;
  return memoryOf(config, await dryRun({ base: resized, text, examples, config }), program).peak;
}

/** What trains is told from what does not. */
function memoryOf(
  config: RunConfig,
  { peak, scratch, trainableParameters }: DryRun,
  program: number,
): Forecast["memory"] {
  const held = (phase: Phase): number => peak.phases.get(phase) ?? 0;
  const trained = (trainedDtype(config) === "bf16" ? 2 : 4) * trainableParameters;
  const [activations, gradients] = [held("activations"), held("gradients")];
  const passing = activations + gradients;
  const kernels = scratch + Math.min(KEPT, passing);
  return {
    weights: held("weights") - trained,
    trained,
    optimizer: held("optimizer"),
    activations,
    gradients,
    kernels,
    program,
    peak: peak.bytes + kernels + program,
  };
}

function timesOf(
  config: RunConfig,
  dry: DryRun,
  { examples, total }: Sample,
  { backend }: Engine,
): Pick<Forecast, "time" | "machine"> {
  const rates = probe(backend, [...dry.microBatches.flatMap(({ work }) => work), ...dry.update]);
  const { batchesPerEpoch, stepsPerEpoch, totalSteps } = planFor(config, total ?? examples.length);
  const perStep = batchesPerEpoch / stepsPerEpoch;
  const costs = dry.microBatches.map(({ work }) => costOf(work, rates));
  const cost = stepCost(costs, perStep, costOf(dry.update, rates));
  const secondsPerStep = secondsOf(cost);
  const tokens = dry.microBatches.reduce((sum, batch) => sum + batch.tokens, 0) / Math.max(1, dry.microBatches.length);
  const steps = total === undefined && config.maxSteps < 0 ? undefined : totalSteps;
  const seconds = steps === undefined ? undefined : steps * secondsPerStep;
  return {
    time: { tokensPerStep: Math.round(perStep * tokens), secondsPerStep, cost, steps, seconds },
    machine: {
      device: `${backend.name}: ${backend.description}`,
      flopPerSecond: rates.flopPerSecond,
      bytesPerSecond: rates.bytesPerSecond,
    },
  };
}
