// The one training loop, step for step what transformers' Trainer does: accumulation windows that end with the epoch,
// the loss divided by the items of the whole window, log → evaluate → save after a step, then the end of the epoch.

import type { Emit } from "@welltempered/events";
import { Embedding, type CausalLM } from "@welltempered/nn";
import { freshLossScale, type LearningRate, type Optimizer } from "@welltempered/optimizers";
import type { Engine } from "@welltempered/tensor";
import { isOutOfPatience, judge, metricKey, type BestSettings } from "./best.ts";
import { evaluate } from "./evaluate.ts";
import type { Fault } from "./fault.ts";
import { dueAfterEpoch, dueAfterStep, type FlowSettings } from "./flow.ts";
import type { Batch, ExampleSet, Objective } from "./objective.ts";
import { epochAfter, windowOf, type StepPlan } from "./plan.ts";
import { speedMetrics } from "./speed.ts";
import type { LogEntry, RunState } from "./state.ts";
import { createSums, type Sums } from "./sums.ts";
import { update, type AfterBackward } from "./update.ts";
import { watch } from "./watchdog.ts";

export interface FitSettings extends FlowSettings, BestSettings {
  perDeviceTrainBatchSize: number;
  perDeviceEvalBatchSize: number;
  gradientAccumulationSteps: number;
  maxGradNorm: number;
  /** The loss is scaled dynamically. */
  fp16: boolean;
  includeNumInputTokensSeen: "no" | "all" | "non_padding";
}

export interface FitOptions<E, B extends Batch> {
  engine: Engine;
  model: CausalLM;
  objective: Objective<E, B>;
  examples: ExampleSet<E>;
  /** Undefined where nothing is evaluated. */
  evalExamples: ExampleSet<E> | undefined;
  /** The order of the examples in an epoch (from 0). */
  order(epoch: number): ArrayLike<number>;
  plan: StepPlan;
  optimizer: Optimizer;
  learningRate: LearningRate;
  settings: FitSettings;
  /** Where the run is; changed in place. A fresh one starts from the beginning. */
  state: RunState;
  emit: Emit;
  /** Asked once a step: true ends the run after a save. A page answers when it has looked at its messages. */
  shouldStop(): boolean | Promise<boolean>;
  /** Writes a checkpoint of the state. */
  save(state: RunState): Promise<void>;
  afterBackward?: readonly AfterBackward[];
  fault?: Fault | undefined;
}

export type EndReason = "finished" | "stopped" | "early-stop";

export interface FitResult {
  reason: EndReason;
  /** train_runtime, train_samples_per_second, train_steps_per_second, total_flos, train_loss. */
  metrics: Record<string, number>;
}

interface Run<E, B extends Batch> extends FitOptions<E, B> {
  sums: Sums;
  /** Milliseconds. */
  started: number;
  startStep: number;
  startTokens: number;
  flosPerToken: number;
  tokens: number;
  reason: EndReason | undefined;
}

/** Trains until the plan is fulfilled, the metric stops improving, or `shouldStop`. @throws {UserError} exit code 4 on numbers that are not finite */
export async function fit<E, B extends Batch>(options: FitOptions<E, B>): Promise<FitResult> {
  const run = begin(options);
  run.model.setTraining(run.objective.dropout ?? true);
  try {
    await settle(run);
    while (run.reason === undefined && run.state.step < run.plan.totalSteps) await epoch(run);
    run.reason ??= "finished";
    return { reason: run.reason, metrics: await finish(run, run.reason) };
  } finally {
    run.model.setTraining(false);
    run.sums.dispose();
  }
}

function begin<E, B extends Batch>(options: FitOptions<E, B>): Run<E, B> {
  const { engine, model, state } = options;
  if (options.settings.fp16) state.lossScale ??= freshLossScale();
  return {
    ...options,
    sums: createSums(engine, state.pending),
    started: performance.now(),
    startStep: state.step,
    startTokens: state.inputTokensSeen,
    flosPerToken: 6 * parametersOutsideEmbeddings(model),
    tokens: 0,
    reason: isOutOfPatience(state, options.settings) ? "early-stop" : undefined,
  };
}

/** What transformers' `num_parameters(exclude_embeddings=True)` counts. */
function parametersOutsideEmbeddings(model: CausalLM): number {
  const embedded = new Set(
    [...model.namedModules()].flatMap(([, module]) => (module instanceof Embedding ? [module.weight] : [])),
  );
  return [...model.namedParameters()].reduce(
    (sum, [, parameter]) => sum + (embedded.has(parameter) ? 0 : parameter.size),
    0,
  );
}

/** The rest of the epoch that the state is in. */
async function epoch<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  const { plan, state } = run;
  const number = Math.floor(state.step / plan.stepsPerEpoch);
  const order = run.order(number);
  for (let index = state.step % plan.stepsPerEpoch; index < plan.stepsPerEpoch && run.reason === undefined; index++) {
    await step(run, windowBatches(run, order, index));
    if (state.step >= plan.totalSteps) return;
  }
}

function windowBatches<E, B extends Batch>(run: Run<E, B>, order: ArrayLike<number>, index: number): B[] {
  const { perDeviceTrainBatchSize: size, gradientAccumulationSteps } = run.settings;
  const [first, end] = windowOf(run.plan, gradientAccumulationSteps, index);
  const batches: B[] = [];
  for (let batch = first; batch < end; batch++) {
    const rows: number[] = Array.prototype.slice.call(order, batch * size, (batch + 1) * size);
    batches.push(run.objective.collate(rows.map((row) => run.examples.get(row))));
  }
  return batches;
}

async function step<E, B extends Batch>(run: Run<E, B>, window: readonly B[]): Promise<void> {
  const { state, plan, settings, learningRate } = run;
  // As in accelerate a step that the loss scale has skipped does not move the schedule on.
  const rate = learningRate.at(state.lossScale === undefined ? state.step : state.step - state.skipped);
  const gradNorm = await guardedUpdate(run, window, rate);
  const tokens = countTokens(run, window);
  state.step++;
  state.epoch = epochAfter(plan, settings.gradientAccumulationSteps, state.step);
  const secondsElapsed = elapsed(run);
  run.emit({ type: "step", step: state.step, totalSteps: plan.totalSteps, epoch: state.epoch, tokens, secondsElapsed });
  const due = dueAfterStep(state.step, plan.totalSteps, settings);
  state.last = { grad_norm: gradNorm, learning_rate: rate };
  if (due.log) await log(run);
  const epochEnd = state.step % plan.stepsPerEpoch === 0 || state.step >= plan.totalSteps;
  state.owes = { evaluate: due.evaluate, save: due.save, epochEnd };
  if (await run.shouldStop()) await stop(run);
  else await settle(run);
}

/** Updates, then lets the watchdog look at the loss and the norm. Returns the gradient norm before clipping. */
async function guardedUpdate<E, B extends Batch>(run: Run<E, B>, window: readonly B[], rate: number): Promise<number> {
  const { engine, model, objective, optimizer, sums, state } = run;
  const context = {
    engine,
    model,
    objective,
    optimizer,
    sums,
    fault: run.fault,
    afterBackward: run.afterBackward ?? [],
    maxGradNorm: run.settings.maxGradNorm,
    lossScale: state.lossScale?.scale ?? 1,
  };
  const result = await update(context, window, state.step, rate);
  if (result === undefined) {
    run.emit({
      type: "notice",
      level: "warning",
      message: `step ${state.step + 1}: no token of the batch is trained on, nothing to learn from`,
    });
    return 0;
  }
  const [loss, gradNorm] = [await result.loss.item(), await result.gradNorm.item()];
  result.loss.dispose();
  result.gradNorm.dispose();
  watch(
    state,
    state.step + 1,
    { loss, gradNorm, rowIds: window.flatMap(({ rowIds }) => Array.from(rowIds)) },
    run.emit,
  );
  return gradNorm;
}

function countTokens<E, B extends Batch>(run: Run<E, B>, window: readonly B[]): number {
  const { state, settings } = run;
  const tokens = window.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
  const padded = window.reduce((sum, { paddedTokenCount }) => sum + paddedTokenCount, 0);
  run.tokens += tokens;
  state.totalFlos += run.flosPerToken * padded;
  if (settings.includeNumInputTokensSeen === "all") state.inputTokensSeen += padded;
  if (settings.includeNumInputTokensSeen === "non_padding") state.inputTokensSeen += tokens;
  return tokens;
}

const elapsed = (run: { started: number }): number => (performance.now() - run.started) / 1000;

/** Mean of each sum since the last log: the loss over steps, the others over their items. */
async function log<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  const { state, plan, sums } = run;
  const { last } = state;
  if (state.step <= state.lastLoggedStep) return;
  const { loss: pending = { sum: 0, count: 0 }, ...aux } = await sums.read();
  sums.clear();
  const loss = pending.sum / (state.step - state.lastLoggedStep);
  state.loggedLoss += pending.sum;
  state.lastLoggedStep = state.step;
  const metrics = Object.fromEntries(
    Object.entries(aux).map(([name, { sum, count }]) => [name, sum / Math.max(count, 1)]),
  );
  addEntry(run, { loss, ...last, ...metrics, ...tokenSpeed(run) });
  const seconds = elapsed(run);
  run.emit({
    type: "log",
    step: state.step,
    totalSteps: plan.totalSteps,
    epoch: state.epoch,
    loss,
    gradNorm: last.grad_norm,
    learningRate: last.learning_rate,
    tokensPerSecond: run.tokens / seconds,
    secondsElapsed: seconds,
    secondsRemaining: ((plan.totalSteps - state.step) * seconds) / (state.step - run.startStep),
    ...(run.settings.includeNumInputTokensSeen === "no" ? {} : { inputTokensSeen: state.inputTokensSeen }),
    ...(Object.keys(metrics).length > 0 ? { metrics } : {}),
  });
}

function tokenSpeed<E, B extends Batch>(run: Run<E, B>): LogEntry {
  if (run.settings.includeNumInputTokensSeen === "no") return {};
  return speedMetrics("train", elapsed(run), { tokens: run.state.inputTokensSeen - run.startTokens });
}

function addEntry<E, B extends Batch>({ state, settings }: Run<E, B>, entry: LogEntry): void {
  const seen = settings.includeNumInputTokensSeen === "no" ? {} : { num_input_tokens_seen: state.inputTokensSeen };
  state.logHistory.push({ ...entry, epoch: state.epoch, ...seen, step: state.step });
}

/** Evaluates, saves and ends the epoch, as far as that is owed. A run that stops early ends its epoch there. */
async function settle<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  const { owes } = run.state;
  if (owes.evaluate) {
    await evaluateAndJudge(run);
    owes.epochEnd ||= run.reason !== undefined;
  }
  if (owes.save) await save(run);
  if (!owes.epochEnd) return;
  owes.epochEnd = false;
  const due = dueAfterEpoch(run.settings);
  if (due.log) await log(run);
  if (due.evaluate) await evaluateAndJudge(run);
  if (due.save) await save(run);
}

async function evaluateAndJudge<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  const { state, settings } = run;
  state.owes.evaluate = false;
  if (run.evalExamples === undefined) return;
  const metrics = await evaluate({
    engine: run.engine,
    model: run.model,
    objective: run.objective,
    examples: run.evalExamples,
    batchSize: settings.perDeviceEvalBatchSize,
    prefix: "eval",
    progress: (done, total) => run.emit({ type: "progress", what: "evaluating", done, total }),
  });
  addEntry(run, metrics);
  run.emit({ type: "eval", step: state.step, epoch: state.epoch, metrics });
  const verdict = judge(state, metrics, settings);
  if (verdict.stop) run.reason = "early-stop";
  if (settings.saveStrategy === "best" && verdict.best) state.owes.save = true;
  observe(run, metrics);
  if (state.owes.save && settings.saveStrategy === "best") await save(run);
}

/** A schedule that listens gets the metric. */
function observe<E, B extends Batch>(
  { learningRate, settings, state }: Run<E, B>,
  metrics: Readonly<Record<string, number>>,
): void {
  const metric = metrics[metricKey(settings.metricForBestModel ?? "loss")];
  if (!learningRate.needsMetric || metric === undefined) return;
  learningRate.observe(metric);
  state.schedule = learningRate.state();
}

async function save<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  run.state.owes.save = false;
  await write(run);
}

async function write<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  run.state.pending = await run.sums.read();
  await run.save(run.state);
}

/** Ends at a signal: saves at once; what is owed is done on resume, a save again, for the evaluation before it decides on the best. */
async function stop<E, B extends Batch>(run: Run<E, B>): Promise<void> {
  run.reason = "stopped";
  await write(run);
}

async function finish<E, B extends Batch>(run: Run<E, B>, reason: EndReason): Promise<Record<string, number>> {
  const { state, plan } = run;
  const { loss } = await run.sums.read();
  const train_loss = (state.loggedLoss + (loss?.sum ?? 0)) / Math.max(state.step, 0.001);
  const speed = speedMetrics("train", elapsed(run), { samples: plan.trainSamples, steps: plan.totalSteps });
  const metrics = { ...speed, total_flos: state.totalFlos, train_loss };
  if (reason !== "stopped") addEntry(run, metrics);
  return metrics;
}
