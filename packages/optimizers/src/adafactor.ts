import type { Engine, Tensor } from "@welltempered/tensor";
import type { Optimizer, ParameterGroup } from "./optimizer.ts";
import { loadState, pick, withGradient } from "./state.ts";

/** As transformers' Trainer leaves them. */
const fixed = { epsilon: 1e-30, clip: 1, decayRate: -0.8 };

interface GroupState {
  group: ParameterGroup;
  step: Tensor;
  /** [R] of a matrix [R,C]; [0] of a vector, whose moment is not factored. */
  rows: Tensor[];
  columns: Tensor[];
}

/**
 * Adafactor (Shazeer & Stern 2018, arXiv 1804.04235) with the schedule's learning rate, as the Hugging Face trainer
 * builds it (scale_parameter and relative_step off): a second moment of rows and columns instead of one an element, no
 * first moment, and updates whose root mean square is at most 1 before the learning rate.
 */
export function adafactor(engine: Engine, groups: readonly ParameterGroup[]): Optimizer {
  const zeros = (length: number): Tensor => engine.keep(engine.zeros([length]));
  const states = groups.map((group): GroupState => ({
    group,
    step: zeros(1),
    rows: group.parameters.map(({ tensor: { shape } }) => zeros(shape.length === 2 ? (shape[0] ?? 0) : 0)),
    columns: group.parameters.map(({ tensor: { shape } }) => zeros(shape.at(-1) ?? 0)),
  }));
  const state = (): [string, Tensor][] => states.flatMap(named);
  return {
    step: (learningRate, scale, skip) => {
      for (const of of states) update(engine, of, learningRate, scale, skip);
    },
    state,
    load: (read) => loadState(state(), read),
    dispose: () => {
      for (const { step, rows, columns } of states) for (const tensor of [step, ...rows, ...columns]) tensor.dispose();
    },
  };
}

function update(engine: Engine, of: GroupState, learningRate: number, scale: Tensor, skip: Tensor): void {
  const { group, step } = of;
  const { indices, parameters, gradients } = withGradient(group);
  if (indices.length === 0) return;
  const options = { ...fixed, lr: learningRate * group.learningRateFactor, weightDecay: group.weightDecay };
  const [rows, columns] = [pick(of.rows, indices), pick(of.columns, indices)];
  engine.backend.adafactor(parameters, gradients, rows, columns, step.slot, scale.slot, skip.slot, options);
}

function named({ group, step, rows, columns }: GroupState, index: number): [string, Tensor][] {
  const moments = group.names.flatMap((name, at): [string, Tensor][] => {
    const [row, column] = [rows[at], columns[at]];
    if (row === undefined || column === undefined) return [];
    if (row.size === 0) return [[`exp_avg_sq.${name}`, column]];
    return [
      [`exp_avg_sq_row.${name}`, row],
      [`exp_avg_sq_col.${name}`, column],
    ];
  });
  return [[`step.${index}`, step], ...moments];
}
