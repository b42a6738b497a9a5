// Finite differences in f64 on the reference backend, and how far a tape's gradients are from them. Nothing here needs a
// test runner: tests/gpu-check takes it to machines that have none.

import { Engine, mul, sum, type Tensor } from "@welltempered/tensor";

export const reference = (): Engine => Engine.open({ device: "reference", threads: 1 });

/** Deterministic numbers in (−1, 1), unlike in every place. */
export function numbers(count: number, seed = 1): Float64Array {
  return Float64Array.from({ length: count }, (_, index) => Math.sin(1.7 * (index + 1) * seed + seed * seed));
}

export interface GradcheckInput {
  data: Float64Array;
  shape: readonly number[];
  /** Frozen inputs get no gradient. */
  frozen?: boolean;
}

export type Gradients = readonly (ArrayLike<number> | undefined)[];
export type Op = (...tensors: Tensor[]) => Tensor;

/** The tape's gradients of Σ weights ⊙ f(inputs), in the dtype of `of`; undefined for frozen inputs. */
export async function tapeGradients(
  engine: Engine,
  inputs: readonly GradcheckInput[],
  f: Op,
  of: (data: Float64Array) => Float32Array | Float64Array = (data) => data,
): Promise<Gradients> {
  const before = engine.liveTensors();
  const gradients = await engine.scopeAsync(async () => {
    const tensors = inputs.map(({ data, shape, frozen }) => {
      const tensor = engine.tensor(of(data), shape);
      tensor.requiresGrad = frozen !== true;
      return tensor;
    });
    engine.backward(objective(engine, f(...tensors), of));
    return Promise.all(tensors.map(async ({ grad }) => (grad === undefined ? undefined : await grad.read())));
  });
  const left = engine.liveTensors() - before;
  if (left !== 0) throw new Error(`${left} tensors of the check are not freed`);
  return gradients;
}

/** Central differences of step 1e-5, in f64. */
export async function differences(engine: Engine, inputs: readonly GradcheckInput[], f: Op): Promise<Gradients> {
  const value = async (arrays: readonly Float64Array[]): Promise<number> =>
    engine.scopeAsync(async () =>
      engine
        .noGrad(() => objective(engine, f(...arrays.map((data, index) => engine.tensor(data, inputs[index]!.shape)))))
        .item(),
    );
  const difference = async (which: number, index: number): Promise<number> => {
    const moved = (step: number): Float64Array[] =>
      inputs.map((input, other) =>
        other === which ? input.data.map((x, at) => (at === index ? x + step : x)) : input.data,
      );
    return ((await value(moved(1e-5))) - (await value(moved(-1e-5)))) / 2e-5;
  };
  return Promise.all(
    inputs.map(async ({ data, frozen }, which) => {
      if (frozen === true) return undefined;
      const all: number[] = [];
      for (let index = 0; index < data.length; index++) all.push(await difference(which, index));
      return all;
    }),
  );
}

/** Where an element is further than `tolerance` of the larger of 1 and what it should be; undefined where none is. */
export function gradientFault(gradients: Gradients, expected: Gradients, tolerance: number): string | undefined {
  for (const [which, numeric] of expected.entries()) {
    const tape = gradients[which];
    if (tape?.length !== numeric?.length) return `input ${which}: ${tape?.length} elements, not ${numeric?.length}`;
    for (let index = 0; index < (numeric?.length ?? 0); index++) {
      const [ours, difference] = [tape![index]!, numeric![index]!];
      if (!(Math.abs(ours - difference) < tolerance * Math.max(1, Math.abs(difference))))
        return `input ${which}, element ${index}: tape ${ours}, difference ${difference}`;
    }
  }
  return undefined;
}

/** A scalar that weighs every output element differently. */
function objective(
  engine: Engine,
  output: Tensor,
  of: (data: Float64Array) => Float32Array | Float64Array = (data) => data,
): Tensor {
  return sum(mul(output, engine.tensor(of(numbers(output.size, 3)), output.shape)));
}
