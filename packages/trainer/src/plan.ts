// How many updates a run makes, as transformers counts them (`Trainer.set_initial_training_values`).

import type { RunConfig } from "@welltempered/config";
import { epochOrder } from "@welltempered/data";

export interface PlanOptions {
  examples: number;
  batchSize: number;
  accumulation: number;
  numTrainEpochs: number;
  /** Above 0 it decides, and `numTrainEpochs` does not. */
  maxSteps: number;
}

export interface StepPlan {
  batchesPerEpoch: number;
  /** Updates an epoch: the last one may accumulate fewer batches. */
  stepsPerEpoch: number;
  totalSteps: number;
  /** Epochs begun, the last possibly in part. */
  epochs: number;
  /** Examples the run is said to have seen, for samples per second. */
  trainSamples: number;
}

/** The same from a run's settings. */
export const planFor = (config: RunConfig, examples: number): StepPlan =>
  planSteps({
    examples,
    batchSize: config.perDeviceTrainBatchSize,
    accumulation: config.gradientAccumulationSteps,
    numTrainEpochs: config.numTrainEpochs,
    maxSteps: config.maxSteps,
  });

/** The examples of an epoch in the order in which a run takes them. */
export const orderOf = (
  { dataSeed, seed, disableShuffling }: RunConfig,
  examples: number,
  epoch: number,
): ReturnType<typeof epochOrder> => epochOrder(examples, { seed: dataSeed ?? seed, epoch, shuffle: !disableShuffling });

export function planSteps({ examples, batchSize, accumulation, numTrainEpochs, maxSteps }: PlanOptions): StepPlan {
  const batchesPerEpoch = Math.ceil(examples / batchSize);
  const stepsPerEpoch = Math.max(1, Math.ceil(batchesPerEpoch / accumulation));
  if (maxSteps > 0) {
    const trainSamples = maxSteps * batchSize * accumulation;
    return {
      batchesPerEpoch,
      stepsPerEpoch,
      totalSteps: maxSteps,
      epochs: Math.ceil(maxSteps / stepsPerEpoch),
      trainSamples,
    };
  }
  const totalSteps = Math.ceil(numTrainEpochs * stepsPerEpoch);
  return {
    batchesPerEpoch,
    stepsPerEpoch,
    totalSteps,
    epochs: Math.ceil(numTrainEpochs),
    trainSamples: examples * numTrainEpochs,
  };
}

/** Batches that update `index` of an epoch accumulates: [first, past the last). */
export function windowOf(plan: StepPlan, accumulation: number, index: number): [first: number, end: number] {
  const first = index * accumulation;
  return [first, Math.min(first + accumulation, plan.batchesPerEpoch)];
}

/** `epoch` as it is logged after update `step` (counted from 1): the share of batches seen. */
export function epochAfter(plan: StepPlan, accumulation: number, step: number): number {
  const epoch = Math.floor((step - 1) / plan.stepsPerEpoch);
  const [, seen] = windowOf(plan, accumulation, (step - 1) % plan.stepsPerEpoch);
  return epoch + seen / plan.batchesPerEpoch;
}

/** A count of steps, or below 1 a share of all of them (`TrainerState.compute_steps`). */
export const intervalOf = (steps: number, totalSteps: number): number =>
  steps < 1 ? Math.ceil(totalSteps * steps) : steps;
