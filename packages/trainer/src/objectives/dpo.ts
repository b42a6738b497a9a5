import { collatePairs, type Example, type PairBatch } from "@welltempered/data";
import type { CausalLM } from "@welltempered/nn";
import { oddsRatioLoss, preferenceLosses, type PreferenceName, type PreferenceSettings } from "@welltempered/rlhf";
import { mean, scale, sub, type Engine, type Tensor } from "@welltempered/tensor";
import type { Batch, LossResult, Objective, ObjectiveContext } from "../objective.ts";
import { answerStates, bothSides, meanLogit, overAnswers, tokenLogProbs, type Sides } from "./answers.ts";

/** Runs a pass on the model that the policy is measured against. */
export type ReferencePass = <T>(pass: (model: CausalLM) => T) => T;

export interface DpoOptions extends PreferenceSettings {
  loss: PreferenceName;
  /** Weight of −log p of the chosen answers, a mean over tokens. */
  ftx: number;
  /** Undefined where the loss has none. */
  reference: ReferencePass | undefined;
}

export type DpoBatch = PairBatch & Batch;

/**
 * Learning from pairs of answers (Rafailov et al. 2023 and the losses of @welltempered/rlhf). The mean over the pairs of
 * a micro-batch counts as one item, and metrics are means over micro-batches: so TRL and LlamaFactory accumulate.
 */
export function dpoObjective(options: DpoOptions): Objective<Example, DpoBatch> {
  return {
    name: "dpo",
    dropout: false,
    collate: (examples) => ({ ...collatePairs(examples, { padToMultipleOf: 8 }), count: 1 }),
    loss: (batch, context) => loss(batch, context, options),
  };
}

function loss(batch: DpoBatch, { engine, model }: ObjectiveContext, options: DpoOptions): LossResult {
  const kind = preferenceLosses[options.loss];
  const states = answerStates(model, batch);
  const policy = tokenLogProbs(model, states, batch);
  const reference = referenceLogProbs(batch, engine, options.reference);
  // The difference is taken token by token: both sums are large, and it is small.
  const differences = bothSides((side) =>
    reference === undefined ? policy[side] : sub(policy[side], reference[side]),
  );
  const ratios = bothSides((side) => overAnswers(differences[side], batch[side], kind.over));
  const preference = mean(kind.loss(ratios, options));
  const chosen = mean(overAnswers(policy.chosen, batch.chosen, "mean"));
  const metrics = engine.noGrad(() => ({
    ...rewardMetrics(ratios, options.beta),
    ...named(
      "logps",
      bothSides((side) => mean(overAnswers(policy[side], batch[side], kind.over))),
    ),
    ...named(
      "logits",
      bothSides((side) => meanLogit(model, states[side])),
    ),
    ...(options.loss === "orpo" ? { sft_loss: scale(chosen, -1), odds_ratio_loss: mean(oddsRatioLoss(ratios)) } : {}),
  }));
  return {
    sum: options.ftx === 0 ? preference : sub(preference, scale(chosen, options.ftx)),
    count: 1,
    aux: Object.fromEntries(Object.entries(metrics).map(([name, sum]) => [name, { sum, count: 1 }])),
  };
}

function referenceLogProbs(
  batch: DpoBatch,
  engine: Engine,
  reference: ReferencePass | undefined,
): Sides<Tensor> | undefined {
  if (reference === undefined) return undefined;
  const pass = (model: CausalLM): Sides<Tensor> => tokenLogProbs(model, answerStates(model, batch), batch);
  return engine.noGrad(() => engine.scope(() => reference(pass)));
}

/** r = β·(log π − log π_ref), the reward that DPO shows to be implicit; which share of the pairs it ranks right. */
function rewardMetrics(ratios: Sides<Tensor>, beta: number): Record<string, Tensor> {
  const margins = scale(sub(ratios.chosen, ratios.rejected), beta);
  const { engine } = margins;
  return {
    ...named(
      "rewards",
      bothSides((side) => scale(mean(ratios[side]), beta)),
    ),
    "rewards/accuracies": mean(engine.adopt(engine.backend.unary("step", margins.slot))),
    "rewards/margins": mean(margins),
  };
}

const named = (name: string, { chosen, rejected }: Sides<Tensor>): Record<string, Tensor> => ({
  [`${name}/chosen`]: chosen,
  [`${name}/rejected`]: rejected,
});
