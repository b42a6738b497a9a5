// One optimizer step over an accumulated batch.

import type { CausalLM, Parameter } from "@welltempered/nn";
import { clipGradients, type Optimizer } from "@welltempered/optimizers";
import type { Engine, Tensor } from "@welltempered/tensor";
import { faultAt, type Fault } from "./fault.ts";
import type { Batch, LossResult, Objective } from "./objective.ts";
import type { Sums } from "./sums.ts";

/** Called once a step when the gradients are complete, still times the loss scale: to reduce them over ranks, or to change the trainable set. */
export type AfterBackward = (parameters: readonly Parameter[]) => void | Promise<void>;

export interface UpdateContext<E, B extends Batch> {
  engine: Engine;
  model: CausalLM;
  objective: Objective<E, B>;
  optimizer: Optimizer;
  /** 0: no clipping. */
  maxGradNorm: number;
  /** Factor of the loss in backward, which the update takes out again; 1 but for `fp16`. */
  lossScale: number;
  afterBackward: readonly AfterBackward[];
  sums: Sums;
  fault: Fault | undefined;
}

/** Scalars of the step, still on the device; the caller disposes of them. */
export interface UpdateResult {
  loss: Tensor;
  gradNorm: Tensor;
}

/**
 * Accumulates Σ loss / (items of the whole window) over the window's batches, as transformers does with
 * `num_items_in_batch`, clips and updates. Batches without items are left out; returns undefined where all are.
 * @param step updates already made
 */
export async function update<E, B extends Batch>(
  context: UpdateContext<E, B>,
  window: readonly B[],
  step: number,
  learningRate: number,
): Promise<UpdateResult | undefined> {
  const { engine, optimizer } = context;
  const total = window.reduce((count, batch) => count + batch.count, 0);
  if (total === 0) return undefined;
  const loss = await accumulate(context, window, step, total);
  if (loss === undefined) return undefined;
  const parameters = trainable(context.model);
  // ── The gradients of this step are complete: reduce over ranks here. ──
  for (const hook of context.afterBackward) await hook(parameters);
  return engine.scope(() => {
    const { norm, scale, skip } = clipGradients(engine, parameters, context.maxGradNorm, loss, context.lossScale);
    optimizer.step(learningRate, scale, skip);
    for (const parameter of parameters) parameter.zeroGrad();
    return { loss: engine.keep(loss), gradNorm: engine.keep(norm) };
  });
}

/** Runs forward and backward for each micro-batch; returns the window's loss [1]. */
async function accumulate<E, B extends Batch>(
  context: UpdateContext<E, B>,
  window: readonly B[],
  step: number,
  total: number,
): Promise<Tensor | undefined> {
  const { engine, model, objective, sums, lossScale } = context;
  const fault = faultAt(context.fault, step + 1);
  let loss: Tensor | undefined;
  for (const [micro, batch] of window.entries()) {
    if (batch.count === 0) continue;
    Object.assign(engine.rng, { step, micro });
    await engine.scopeAsync(async () => {
      const result = await objective.loss(batch, { engine, model, training: true });
      if (result.count === 0) return;
      if (fault === "nan") engine.backend.fill(result.sum.slot, Number.NaN);
      loss ??= engine.keep(engine.zeros([1], result.sum.dtype));
      engine.backend.accumulate(loss.slot, result.sum.slot, 1 / total);
      addSums(sums, result, 1 / total);
      engine.backward(result.sum, fault === "inf-grad" ? Number.POSITIVE_INFINITY : lossScale / total);
    });
  }
  return loss;
}

function addSums(sums: Sums, { sum, aux = {} }: LossResult, factor: number): void {
  sums.add("loss", sum, factor, 0);
  for (const [name, { sum: value, count }] of Object.entries(aux)) sums.add(name, value, 1, count);
}

const trainable = (model: CausalLM): Parameter[] =>
  [...model.namedParameters()].map(([, parameter]) => parameter).filter((parameter) => parameter.trainable);
