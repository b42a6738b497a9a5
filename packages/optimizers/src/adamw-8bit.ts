import type { CodedMoments } from "@welltempered/kernels";
import type { Engine, Tensor } from "@welltempered/tensor";
import { adamw, type AdamWSettings } from "./adamw.ts";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { loadState, pick, withGradient } from "./state.ts";

/** Elements that share a scale. */
const block = 256;
/** Smaller parameters keep their moments in f32: bitsandbytes' min_8bit_size. */
const smallest = 4096;

export interface AdamW8bitSettings extends AdamWSettings {
  /** Parameters whose moments stay f32 whatever their size: the Hugging Face trainer spares embeddings. */
  spared: ReadonlySet<string>;
}

interface Moments {
  codes: Tensor[];
  scales: Tensor[];
}

interface GroupState {
  group: ParameterGroup;
  step: Tensor;
  mean: Moments;
  square: Moments;
}

/**
 * AdamW with its moments in dynamic 8-bit codes, a scale for each 256 of them (Dettmers et al. 2021, arXiv 2110.02861):
 * 2 bytes a parameter instead of 8. The codes are those of bitsandbytes on the CPU.
 */
export function adamw8bit(engine: Engine, groups: readonly ParameterGroup[], settings: AdamW8bitSettings): Optimizer {
  const { spared, ...adam } = settings;
  const isCoded = (name: string, size: number): boolean => size >= smallest && !spared.has(name);
  const small = adamw(
    engine,
    groups.map((group) => part(group, (name, size) => !isCoded(name, size))),
    adam,
  );
  const states = groups.map((group): GroupState => {
    const large = part(group, isCoded);
    const [mean, square] = [zeroMoments(engine, large), zeroMoments(engine, large)];
    return { group: large, step: engine.keep(engine.zeros([1])), mean, square };
  });
  const state = (): [string, Tensor][] => states.flatMap(named);
  return {
    step: (learningRate, scale, skip) => {
      small.step(learningRate, scale, skip);
      for (const of of states) update(engine, of, adam, learningRate, scale, skip);
    },
    state: () => [...small.state(), ...state()],
    load: (read) => {
      small.load(read);
      loadState(state(), read);
    },
    dispose: () => {
      small.dispose();
      for (const [, tensor] of state()) tensor.dispose();
    },
  };
}

/** The group without the parameters that do not suit. */
function part(group: ParameterGroup, suits: (name: string, size: number) => boolean): ParameterGroup {
  const kept = group.parameters.map(({ tensor }, at) => suits(group.names[at] ?? "", tensor.size));
  return {
    ...group,
    parameters: group.parameters.filter((_, at) => kept[at]),
    names: group.names.filter((_, at) => kept[at]),
  };
}

function zeroMoments(engine: Engine, { parameters }: ParameterGroup): Moments {
  return {
    codes: parameters.map(({ tensor }) => engine.keep(engine.zeros(tensor.shape, "u8"))),
    scales: parameters.map(({ tensor }) => engine.keep(engine.zeros([Math.ceil(tensor.size / block)]))),
  };
}

function update(
  engine: Engine,
  { group, step, mean, square }: GroupState,
  settings: AdamWSettings,
  learningRate: number,
  scale: Tensor,
  skip: Tensor,
): void {
  const { indices, parameters, gradients } = withGradient(group);
  if (indices.length === 0) return;
  const options = {
    ...settings,
    lr: learningRate * group.learningRateFactor,
    weightDecay: group.weightDecay,
  };
  const slots = ({ codes, scales }: Moments): CodedMoments => ({
    codes: pick(codes, indices),
    scales: pick(scales, indices),
  });
  const [m, v] = [slots(mean), slots(square)];
  engine.backend.adamw8bit(parameters, gradients, m, v, step.slot, scale.slot, skip.slot, options);
}

/** bitsandbytes' names. */
function named({ group, step, mean, square }: GroupState, index: number): [string, Tensor][] {
  const of = (label: string, tensors: readonly Tensor[]): [string, Tensor][] =>
    tensors.map((tensor, at) => [`${label}.${group.names[at]}`, tensor]);
  return [
    [`step_8bit.${index}`, step],
    ...of("state1", mean.codes),
    ...of("absmax1", mean.scales),
    ...of("state2", square.codes),
    ...of("absmax2", square.scales),
  ];
}
