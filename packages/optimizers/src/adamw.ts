import type { Engine, Tensor } from "@welltempered/tensor";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { loadState, pick, withGradient, zerosLike } from "./state.ts";

export interface AdamWSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
}

interface GroupState {
  group: ParameterGroup;
  step: Tensor;
  mean: Tensor[];
  square: Tensor[];
}

/**
 * AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), torch.optim.AdamW's order of operations:
 * p ← p·(1 − lr·λ);  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
 */
export function adamw(engine: Engine, groups: readonly ParameterGroup[], settings: AdamWSettings): Optimizer {
  const states = groups.map((group): GroupState => ({
    group,
    step: engine.keep(engine.zeros([1])),
    mean: zerosLike(engine, group),
    square: zerosLike(engine, group),
  }));
  const state = (): [string, Tensor][] => states.flatMap(named);
  return {
    step: (learningRate, scale, skip) => {
      for (const of of states) update(engine, of, settings, learningRate, scale, skip);
    },
    state,
    load: (read) => loadState(state(), read),
    dispose: () => state().forEach(([, tensor]) => tensor.dispose()),
  };
}

function update(
  engine: Engine,
  state: GroupState,
  settings: AdamWSettings,
  learningRate: number,
  scale: Tensor,
  skip: Tensor,
): void {
  const { group, step, mean, square } = state;
  const { indices, parameters, gradients } = withGradient(group);
  if (indices.length === 0) return;
  const options = {
    ...settings,
    lr: learningRate * group.learningRateFactor,
    weightDecay: group.weightDecay,
  };
  const [m, v] = [pick(mean, indices), pick(square, indices)];
  engine.backend.adamw(parameters, gradients, m, v, step.slot, scale.slot, skip.slot, options);
}

function named({ group, step, mean, square }: GroupState, index: number): [string, Tensor][] {
  const moments = group.names.flatMap((name, at): [string, Tensor][] => {
    const [m, v] = [mean[at], square[at]];
    return m === undefined || v === undefined
      ? []
      : [
          [`exp_avg.${name}`, m],
          [`exp_avg_sq.${name}`, v],
        ];
  });
  return [[`step.${index}`, step], ...moments];
}
