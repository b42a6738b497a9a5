import type { RunConfig } from "@welltempered/config";
import { Embedding, type CausalLM } from "@welltempered/nn";
import {
  createLearningRate,
  decayGroups,
  loraPlusGroups,
  optimizers,
  warmupStepCount,
  type LearningRate,
  type Optimizer,
} from "@welltempered/optimizers";
import type { Engine } from "@welltempered/tensor";
import type { StepPlan } from "../plan.ts";

/** `optim` over what trains in the model. */
export function makeOptimizer(engine: Engine, model: CausalLM, config: RunConfig): Optimizer {
  const parameters = [...model.namedParameters()].filter(([, parameter]) => parameter.trainable);
  const { weightDecay, learningRate, loraplusLrRatio: ratio, loraplusLrEmbedding: embedding } = config;
  const groups =
    ratio === undefined
      ? decayGroups(parameters, weightDecay)
      : loraPlusGroups(parameters, weightDecay, { ratio, embedding, learningRate });
  const adam = { beta1: config.adamBeta1, beta2: config.adamBeta2, epsilon: config.adamEpsilon };
  switch (config.optim) {
    case "sgd":
      return optimizers.sgd(engine, groups, config.optimArgs);
    case "adafactor":
      return optimizers.adafactor(engine, groups);
    case "lion_32bit":
      return optimizers.lion_32bit(engine, groups, { beta1: adam.beta1, beta2: adam.beta2 });
    case "adamw_8bit":
      return optimizers.adamw_8bit(engine, groups, {
        ...adam,
        spared: ratio === undefined ? embeddingNames(model) : new Set(),
      });
    case "adamw_torch":
      return optimizers.adamw_torch(engine, groups, adam);
  }
}

/** The learning rate of each step, as the configuration schedules it. */
export function scheduleFor(config: RunConfig, { totalSteps }: StepPlan): LearningRate {
  const warmupSteps = warmupStepCount(config.warmupSteps, config.warmupRatio, totalSteps);
  return createLearningRate(
    config.lrSchedulerType,
    { warmupSteps, totalSteps, learningRate: config.learningRate },
    config.lrSchedulerKwargs,
  );
}

/** Weights of embeddings, which Hugging Face keeps out of 8 bits and LlamaFactory with LoRA+ does not. */
function embeddingNames(model: CausalLM): Set<string> {
  const modules = [...model.namedModules()].filter(([, module]) => module instanceof Embedding);
  return new Set(modules.map(([path]) => `${path}.weight`));
}
