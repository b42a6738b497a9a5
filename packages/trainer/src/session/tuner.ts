// openTuner: a run without folders. Model and data sets are files in memory, what was trained is handed back; in between
// it is the run of `runTraining`, part by part, so that losses and answers are the same.

import { adapterFiles, modelFromFiles } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import { memoryFolder, type AlignedRow } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import type { Engine } from "@welltempered/tensor";
import { fit, type FitResult } from "../fit.ts";
import { objectives } from "../objectives/registry.ts";
import { orderOf, planFor, type StepPlan } from "../plan.ts";
import { freshState } from "../state.ts";
import { withAdapterFiles } from "./adapter-to-write.ts";
import { answers, type Prediction } from "./answers.ts";
import { conversation, type ChatSession } from "./conversation.ts";
import { halfOf, openEngine } from "./engine.ts";
import { loadModel, parameterCounts } from "./load-model.ts";
import { baseOf } from "./open-base.ts";
import { evaluationRows, loadText, loadTexts, tokenize, tokenizePredict } from "./load-text.ts";
import { makeOptimizer, scheduleFor } from "./optimizer.ts";
import { resizeVocab } from "./vocabulary.ts";

export type Files = ReadonlyMap<string, Uint8Array>;

export interface TunerOptions {
  /** With `do_train: true` and an adapter; `model_name_or_path` and `dataset_dir` name the files in messages. */
  config: RunConfig;
  /** Of the model's folder, by name. */
  model: Files;
  /** Of `dataset_dir`, by name. */
  data: Files;
  /** That of a tuner which is disposed of, so that its memory is used again; a new one unless given. */
  engine?: Engine | undefined;
  emit: Emit;
}

/** A model with a new adapter, and the rows to train it on and to ask it about. */
export interface Tuner {
  readonly rows: { train: readonly AlignedRow[]; held: readonly AlignedRow[] };
  readonly engine: Engine;
  /** The backend that computes, in words. */
  readonly device: string;
  readonly plan: StepPlan;
  readonly parameters: ReturnType<typeof parameterCounts>;
  /** Trains the adapter by the plan; `stop` is asked after each step. Once a tuner. */
  train(stop: () => boolean | Promise<boolean>): Promise<FitResult>;
  /** What the model answers to the held-out rows now. */
  answers(): Promise<Prediction[]>;
  /** A conversation with the model as it is now. */
  chat(): ChatSession;
  /** adapter_config.json, adapter_model.safetensors and README.md, which peft loads. */
  adapterFiles(): Promise<Map<string, Uint8Array>>;
  dispose(): void;
}

/** Makes a model from files and puts a new adapter on it. Nothing is written. @throws {UserError} of one line */
export async function openTuner({ config, model: modelFiles, data, engine: open, emit }: TunerOptions): Promise<Tuner> {
  const base = baseOf(modelFromFiles(modelFiles, config.modelNameOrPath), config);
  const engine = open ?? openEngine(config, halfOf(config));
  Object.assign(engine.rng, { seed: config.seed, step: 0, micro: 0 });
  const text = await loadText(base, config, emit);
  const texts = loadTexts(config, emit, memoryFolder(data, config.datasetDir));
  const held = evaluationRows(texts);
  const examples = tokenize(texts.train, text, config, emit);
  const loaded = loadModel(resizeVocab(base, text, config, emit), { engine, config, emit });
  const { model, adapter } = loaded;
  if (adapter === undefined) {
    model.dispose();
    throw new UserError(`finetuning_type: ${config.finetuningType} leaves no adapter to hand back; use lora`);
  }
  const plan = planFor(config, examples.length);
  return {
    rows: { train: texts.train, held },
    engine,
    device: `${engine.backend.name}: ${engine.backend.description}`,
    plan,
    parameters: parameterCounts(model),
    answers: () => answers({ config, emit, text, model }, tokenizePredict(held, text, config)),
    chat: () => conversation({ config, text, model }),
    adapterFiles: () => withAdapterFiles({ engine, adapter, config }, adapterFiles),
    dispose: () => model.dispose(),
    train: async (stop) => {
      const optimizer = makeOptimizer(engine, model, config);
      try {
        return await fit({
          engine,
          model,
          objective: objectives[config.stage]({ config, reference: undefined }),
          examples,
          evalExamples: undefined,
          order: (epoch) => orderOf(config, examples.length, epoch),
          plan,
          optimizer,
          learningRate: scheduleFor(config, plan),
          settings: config,
          state: freshState(),
          emit,
          shouldStop: stop,
          save: async () => {},
        });
      } finally {
        optimizer.dispose();
      }
    },
  };
}
