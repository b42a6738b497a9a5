// Finite differences in f64 on the reference backend: every op's gradient against the function itself.

import { Engine, mul, sum, type Tensor } from "@welltempered/tensor";
import { expect } from "vitest";

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

type Gradients = readonly (ArrayLike<number> | undefined)[];
type Op = (...tensors: Tensor[]) => Tensor;

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
  expect(engine.liveTensors(), "every tensor of the check is freed").toBe(before);
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

/** Each element within `tolerance` of the larger of 1 and what it should be. */
export function expectGradients(gradients: Gradients, expected: Gradients, tolerance: number): void {
  expect(gradients.map((each) => each?.length)).toEqual(expected.map((each) => each?.length));
  for (const [which, numeric] of expected.entries()) {
    for (let index = 0; index < (numeric?.length ?? 0); index++) {
      const [tape, difference] = [gradients[which]![index]!, numeric![index]!];
      expect(
        Math.abs(tape - difference),
        `input ${which}, element ${index}: tape ${tape}, difference ${difference}`,
      ).toBeLessThan(tolerance * Math.max(1, Math.abs(difference)));
    }
  }
}

/** Compares the tape's gradients with differences, to 1e-7. */
export async function gradcheck(engine: Engine, inputs: readonly GradcheckInput[], f: Op): Promise<void> {
  expectGradients(await tapeGradients(engine, inputs, f), await differences(engine, inputs, f), 1e-7);
}

/** A scalar that weighs every output element differently. */
function objective(
  engine: Engine,
  output: Tensor,
  of: (data: Float64Array) => Float32Array | Float64Array = (data) => data,
): Tensor {
  return sum(mul(output, engine.tensor(of(numbers(output.size, 3)), output.shape)));
}
