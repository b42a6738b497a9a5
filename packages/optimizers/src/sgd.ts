import type { Engine, Tensor } from "@welltempered/tensor";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { loadState, pick, withGradient, zerosLike } from "./state.ts";

export interface SgdSettings {
  momentum: number;
  nesterov: boolean;
}

interface GroupState {
  group: ParameterGroup;
  step: Tensor;
  momentum: Tensor[];
}

/**
 * SGD with momentum (Sutskever et al. 2013) as torch.optim.SGD: g ← g + λp;  b ← g at first, then μb + g;
 * p ← p − lr·(b, or g + μb with nesterov).
 */
export function sgd(engine: Engine, groups: readonly ParameterGroup[], settings: SgdSettings): Optimizer {
  const states = groups.map((group): GroupState => ({
    group,
    step: engine.keep(engine.zeros([1])),
    momentum: settings.momentum === 0 ? [] : zerosLike(engine, group),
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
  settings: SgdSettings,
  learningRate: number,
  scale: Tensor,
  skip: Tensor,
): void {
  const { group, step, momentum } = state;
  const { indices, parameters, gradients } = withGradient(group);
  if (indices.length === 0) return;
  const options = {
    ...settings,
    lr: learningRate * group.learningRateFactor,
    weightDecay: group.weightDecay,
  };
  engine.backend.sgd(parameters, gradients, pick(momentum, indices), step.slot, scale.slot, skip.slot, options);
}

function named({ group, step, momentum }: GroupState, index: number): [string, Tensor][] {
  const buffers = momentum.map((tensor, at): [string, Tensor] => [`momentum_buffer.${group.names[at]}`, tensor]);
  return [[`step.${index}`, step], ...buffers];
}
