// What an architecture file provides, and how weights reach it.

import type { CausalLM } from "@welltempered/nn";
import { Parameter } from "@welltempered/nn";
import { cast, streamOf, type Engine, type Shape, type Tensor } from "@welltempered/tensor";

/** Supplies one weight of the checkpoint by name, with exactly this shape. The model takes it over. */
export type Weights = (name: string, shape: Shape) => Tensor;

/** One architecture: its file is named after the checkpoint's `model_type`. */
export interface Architecture {
  /** Names and shapes of every tensor that a checkpoint must hold; tied heads are absent. */
  expectedWeights(): Map<string, Shape>;
  build(engine: Engine, weights: Weights): CausalLM;
  /** What the weights of fresh norms are. */
  readonly freshNorm: number;
  /** Fields of config.json that transformers reads only where they are written as 30.0, not 30. */
  readonly floatFields: readonly string[];
}

/** Matrices stay in the checkpoint's dtype; vectors (norms, biases) are few and become f32. */
export function parameter(engine: Engine, weights: Weights, name: string, shape: Shape): Parameter {
  return engine.noGrad(() =>
    engine.scope(() => {
      const tensor = weights(name, shape);
      return new Parameter(shape.length === 1 ? cast(tensor, "f32") : tensor);
    }),
  );
}

/** Fresh weights as `train_from_scratch` starts from: N(0, initializer_range) matrices, norms that only normalise, zero biases. */
export function initialWeights(engine: Engine, initializerRange: number, freshNorm = 1): Weights {
  return (name, shape) => {
    if (shape.length > 1) return engine.normal(shape, 0, initializerRange, streamOf(`init/${name}`));
    const vector = engine.zeros(shape);
    if (name.endsWith("norm.weight")) engine.backend.fill(vector.slot, freshNorm);
    return vector;
  };
}
