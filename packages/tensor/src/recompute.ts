import type { Engine } from "./engine.ts";
import { sourceOf } from "./tape.ts";
import { Tensor } from "./tensor.ts";

/**
 * Runs `body` without keeping its activations and runs it again in backward: memory for time (Chen et al. 2016).
 * `body` must be a pure function of its inputs, parameters and the engine's random state, which is restored for the
 * second run. Leaves it uses collect their gradients then.
 */
export function recompute(
  engine: Engine,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => Tensor,
): Tensor {
  const output = engine.noGrad(() => engine.scope(() => body(inputs)));
  if (!engine.grad) return output;
  const rng = { ...engine.rng };
  const saved = inputs.map((input) => engine.save(input));
  const shapes = inputs.map((input) => input.shape);
  const needs = inputs.map((input) => input.requiresGrad);
  engine.record("recompute", inputs.map(sourceOf), [output], saved, ([seed]) => {
    const now = { ...engine.rng };
    Object.assign(engine.rng, rng);
    const gradients = engine.scope(() => {
      const leaves = saved.map((handle, index) => engine.wrap(handle.retain(), shapes[index] ?? []));
      for (const [index, leaf] of leaves.entries()) leaf.requiresGrad = needs[index] === true;
      const again = body(leaves);
      if (seed !== undefined) engine.backward(again, engine.wrap(seed.retain(), again.shape));
      return leaves.map((leaf) => leaf.grad?.handle.retain());
    });
    Object.assign(engine.rng, now);
    return gradients;
  });
  return output;
}
