import type { Slot } from "@welltempered/kernels";
import type { Engine, Tensor } from "@welltempered/tensor";
import { OptimizersError } from "./errors.ts";
import type { ParameterGroup } from "./optimizer.ts";

/** Zeros like each parameter of a group, owned by the optimizer. */
export function zerosLike(engine: Engine, group: ParameterGroup): Tensor[] {
  return group.parameters.map(({ tensor }) => engine.keep(engine.zeros(tensor.shape, tensor.dtype)));
}

/** Indices of the parameters that have a gradient, with the slots of both. */
export function withGradient(group: ParameterGroup): {
  indices: number[];
  parameters: Slot[];
  gradients: Slot[];
} {
  const indices: number[] = [];
  const parameters: Slot[] = [];
  const gradients: Slot[] = [];
  for (const [index, { tensor }] of group.parameters.entries()) {
    if (tensor.grad === undefined) continue;
    indices.push(index);
    parameters.push(tensor.slot);
    gradients.push(tensor.grad.slot);
  }
  return { indices, parameters, gradients };
}

export function pick(tensors: readonly Tensor[], indices: readonly number[]): Slot[] {
  return indices.flatMap((index) => tensors[index]?.slot ?? []);
}

/** Writes saved bytes into every tensor of a state. */
export function loadState(state: Iterable<[string, Tensor]>, read: (name: string) => Uint8Array | undefined): void {
  for (const [name, tensor] of state) {
    const bytes = read(name);
    if (bytes === undefined) {
      throw new OptimizersError(
        "BAD_STATE",
        `optimizer state: ${name} is missing`,
        "resume from a checkpoint of this configuration",
      );
    }
    tensor.engine.backend.write(tensor.slot, bytes);
  }
}
