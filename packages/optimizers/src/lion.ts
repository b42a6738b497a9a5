import type { Engine, Tensor } from "@welltempered/tensor";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { loadState, pick, withGradient, zerosLike } from "./state.ts";

export interface LionSettings {
  beta1: number;
  beta2: number;
}

interface GroupState {
  group: ParameterGroup;
  step: Tensor;
  mean: Tensor[];
}

/**
 * Lion (Chen et al. 2023, arXiv 2302.06675), bitsandbytes' order of operations:
 * p ← p·(1 − lr·λ);  p ← p − lr·sign(β₁m + (1−β₁)g);  m ← β₂m + (1−β₂)g.
 */
export function lion(engine: Engine, groups: readonly ParameterGroup[], settings: LionSettings): Optimizer {
  const states = groups.map((group): GroupState => ({
    group,
    step: engine.keep(engine.zeros([1])),
    mean: zerosLike(engine, group),
  }));
  const state = (): [string, Tensor][] => states.flatMap(named);
  return {
    step: (learningRate, scale, skip) => {
      for (const { group, step, mean } of states) {
        const { indices, parameters, gradients } = withGradient(group);
        if (indices.length === 0) continue;
        const options = {
          ...settings,
          lr: learningRate * group.learningRateFactor,
          weightDecay: group.weightDecay,
        };
        engine.backend.lion(parameters, gradients, pick(mean, indices), step.slot, scale.slot, skip.slot, options);
      }
    },
    state,
    load: (read) => loadState(state(), read),
    dispose: () => state().forEach(([, tensor]) => tensor.dispose()),
  };
}

function named({ group, step, mean }: GroupState, index: number): [string, Tensor][] {
  const means = mean.map((tensor, at): [string, Tensor] => [`exp_avg.${group.names[at]}`, tensor]);
  return [[`step.${index}`, step], ...means];
}
