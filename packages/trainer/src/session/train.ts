// runTraining: train, evaluate and predict as the configuration asks.

import { lockFolder, removeLeftovers } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import {
  describeExample,
  isOfPairs,
  pairSides,
  type AlignedRow,
  type Example,
  type TemplateChoice,
  type TokenizedDataset,
} from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { Engine } from "@welltempered/tensor";
import { evaluate } from "../evaluate.ts";
import { parseFault, type Fault } from "../fault.ts";
import { fit, type EndReason } from "../fit.ts";
import { objectives } from "../objectives/registry.ts";
import type { Batch, Objective } from "../objective.ts";
import { intervalOf, orderOf, planFor, type StepPlan } from "../plan.ts";
import { freshState, type RunFacts, type RunState } from "../state.ts";
import {
  checkpointToResume,
  hashData,
  loadTrained,
  restore,
  saveCheckpoint,
  type CheckpointContext,
  type Resume,
} from "./checkpoint.ts";
import { identityOf } from "./identity.ts";
import { halfOf, openEngine } from "./engine.ts";
import { loadModel, parameterCounts, type LoadedModel } from "./load-model.ts";
import { openBase } from "./open-base.ts";
import { dryRun, type DryRunOptions } from "./dry-run.ts";
import { makeOptimizer, scheduleFor } from "./optimizer.ts";
import { loadReference, openReference } from "./reference.ts";
import { evaluationRows, loadText, loadTexts, tokenize } from "./load-text.ts";
import { predict } from "./predict.ts";
import { predictScores } from "./predict-scores.ts";
import {
  checkRunFolder,
  prepareRunFolder,
  withTrainerLog,
  writePlots,
  writeResults,
  writeTrainerState,
} from "./run-folder.ts";
import { saveTrained } from "./save-model.ts";
import { withSavings } from "./shortage.ts";
import { resizeVocab } from "./vocabulary.ts";

export interface RunOutcome {
  reason: EndReason;
  metrics: Record<string, number>;
}

interface Session {
  config: RunConfig;
  emit: Emit;
  engine: Engine;
  text: TemplateChoice;
  loaded: LoadedModel;
  objective: Objective<Example>;
  folder: string;
}

/**
 * Does what `do_train`, `do_eval` and `do_predict` ask for and leaves a run folder. `stop` is asked after each step.
 * @throws {UserError} with the exit code of the command
 */
export async function runTraining(config: RunConfig, emit: Emit, stop: () => boolean): Promise<RunOutcome> {
  try {
    return await run(config, emit, stop);
  } catch (error) {
    throw await withSavings(error, config);
  }
}

async function run(config: RunConfig, emit: Emit, stop: () => boolean): Promise<RunOutcome> {
  const folder = config.outputDir;
  if (folder === undefined) throw new UserError("output_dir: is missing; name the folder that the run writes to");
  checkRunFolder(config);
  const resume = checkpointToResume(config, emit);
  const base = openBase(config);
  const referenceBase = openReference(config);
  const engine = openEngine(config, halfOf(config));
  engine.rng.seed = config.seed;
  try {
    const text = await loadText(base, config, emit);
    const rows = loadTexts(config, emit);
    const examples = config.doTrain ? tokenize(rows.train, text, config, emit) : undefined;
    const held = evaluationRows(rows);
    const evalExamples = config.doEval && held.length > 0 ? tokenize(held, text, config, emit) : undefined;
    const resized = resizeVocab(base, text, config, emit);
    const needed = examples === undefined ? undefined : await bytesOfRun({ base: resized, text, examples, config });
    const loaded = loadModel(resized, {
      engine,
      config,
      needed,
      emit,
      tokenize: (words) => text.tokenizer.encode(words, { addSpecialTokens: true, allowSpecial: true }),
    });
    base.weights.close();
    const reference = loadReference(referenceBase, loaded, config, engine);
    const objective = objectives[config.stage]({ config, reference: reference?.pass });
    prepareRunFolder(folder);
    const lock = lockFolder(folder);
    try {
      await removeLeftovers(folder);
      const log = withTrainerLog(folder, resume?.step ?? 0, emit);
      const session = { config, emit: log, engine, text, loaded, objective, folder };
      const trained = examples === undefined ? undefined : await train(session, examples, evalExamples, resume, stop);
      const outcome: RunOutcome = trained ?? { reason: "finished", metrics: {} };
      if (outcome.reason === "stopped") return outcome;
      if (evalExamples !== undefined) Object.assign(outcome.metrics, await evaluateFinally(session, evalExamples));
      if (config.doPredict) Object.assign(outcome.metrics, await predictWith(session, held, evalExamples));
      return outcome;
    } finally {
      lock.release();
      reference?.dispose();
      loaded.model.dispose();
    }
  } finally {
    base.weights.close();
    referenceBase?.weights.close();
  }
}

/** `do_predict`: scores of pairs for a reward model, answers otherwise. */
async function predictWith(
  session: Session,
  held: readonly AlignedRow[],
  evalExamples: TokenizedDataset | undefined,
): Promise<Record<string, number>> {
  const { config, emit, text } = session;
  if (config.stage !== "rm") return predict(session, held);
  return predictScores(session, evalExamples ?? tokenize(held, text, config, emit));
}

/** Of tensors alone, a lower bound: kernels and the program itself hold more. */
const bytesOfRun = async (options: DryRunOptions): Promise<number> => (await dryRun(options)).liveBytes;

async function train(
  session: Session,
  examples: TokenizedDataset,
  evalExamples: TokenizedDataset | undefined,
  resume: Resume | undefined,
  stop: () => boolean,
): Promise<RunOutcome> {
  const { config, emit, engine, loaded, objective, folder, text } = session;
  const plan = planFor(config, examples.length);
  const optimizer = makeOptimizer(engine, loaded.model, config);
  const learningRate = scheduleFor(config, plan);
  const facts = factsOf(config, plan);
  const context: CheckpointContext = {
    engine,
    loaded,
    tokenizer: text.tokenizer,
    optimizer,
    config,
    facts,
    identity: identityOf(config, {
      backend: engine.backend.name,
      rows: examples.length,
      data: hashData(examples),
    }),
  };
  try {
    const state = resume === undefined ? freshState() : restore(context, resume);
    learningRate.load(state.schedule);
    announce(session, examples, plan, state);
    const result = await fit<Example, Batch>({
      engine,
      model: loaded.model,
      objective,
      examples,
      evalExamples,
      order: (epoch) => orderOf(config, examples.length, epoch),
      plan,
      optimizer,
      learningRate,
      settings: config,
      state,
      emit,
      shouldStop: stop,
      save: async (now) => {
        if (now.bestStep === now.step) now.bestCheckpoint = `${folder}/checkpoint-${now.step}`;
        const path = await saveCheckpoint(context, now);
        emit({ type: "checkpoint", step: now.step, path });
      },
      fault: faultFromEnvironment(),
    });
    if (result.reason !== "stopped") await finish(session, context, state, result.metrics);
    emit({
      type: "run-end",
      reason: result.reason,
      step: state.step,
      epoch: state.epoch,
      metrics: result.metrics,
      outputDir: folder,
    });
    return result;
  } finally {
    optimizer.dispose();
  }
}

/** `TEMPER_FAULT=panic…` and `memory:…` are for the kernels, the rest for the loop. */
function faultFromEnvironment(): Fault | undefined {
  const text = process.env["TEMPER_FAULT"];
  return /^(panic|memory)/.test(text ?? "") ? undefined : parseFault(text);
}

function factsOf(config: RunConfig, { totalSteps, epochs }: StepPlan): RunFacts {
  return {
    totalSteps,
    epochs,
    loggingSteps: intervalOf(config.loggingSteps, totalSteps),
    evalSteps: intervalOf(config.evalSteps, totalSteps),
    saveSteps: intervalOf(config.saveSteps, totalSteps),
    trainBatchSize: config.perDeviceTrainBatchSize,
  };
}

function announce(
  { config, emit, engine, loaded, folder, text }: Session,
  examples: TokenizedDataset,
  plan: StepPlan,
  state: RunState,
): void {
  for (const { example, ...name } of shownExamples(examples.get(0), config))
    emit({ type: "example", ...name, ...describeExample(example, text.tokenizer) });
  emit({
    type: "run-start",
    stage: config.stage,
    outputDir: folder,
    device: `${engine.backend.name}: ${engine.backend.description}`,
    examples: examples.length,
    epochs: plan.epochs,
    totalSteps: plan.totalSteps,
    startStep: state.step,
    ...parameterCounts(loaded.model),
  });
}

/** The example, or both sequences of a pair. */
function shownExamples(example: Example, { stage }: RunConfig): { name?: string; example: Example }[] {
  if (!isOfPairs(stage)) return [{ example }];
  const [chosen, rejected] = pairSides(example);
  return [
    { name: "chosen", example: chosen },
    { name: "rejected", example: rejected },
  ];
}

async function finish(
  { config, engine, loaded, folder, text }: Session,
  { facts }: CheckpointContext,
  state: RunState,
  metrics: Readonly<Record<string, number>>,
): Promise<void> {
  if (config.loadBestModelAtEnd && state.bestCheckpoint !== undefined)
    loadTrained(engine, loaded, state.bestCheckpoint);
  await saveTrained(folder, engine, loaded, text.tokenizer, config);
  await writeTrainerState(folder, state, facts);
  await writeResults(folder, "train", { epoch: state.epoch, ...metrics });
  if (config.plotLoss) await writePlots(folder, state.logHistory);
}

async function evaluateFinally(
  { config, emit, engine, loaded, objective, folder }: Session,
  examples: TokenizedDataset,
): Promise<Record<string, number>> {
  const metrics = await evaluate({
    engine,
    model: loaded.model,
    objective,
    examples,
    batchSize: config.perDeviceEvalBatchSize,
    prefix: "eval",
    progress: (done, total) => emit({ type: "progress", what: "evaluating", done, total }),
  });
  const loss = metrics["eval_loss"];
  const perplexity = config.stage === "pt" && loss !== undefined ? { eval_perplexity: Math.exp(loss) } : {};
  await writeResults(folder, "eval", { ...metrics, ...perplexity });
  return { ...metrics, ...perplexity };
}
