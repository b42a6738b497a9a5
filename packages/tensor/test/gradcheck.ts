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

/** Compares the tape's gradients of Σ weights ⊙ f(inputs) with central differences of step 1e-5, to 1e-7 relative. */
export async function gradcheck(
  engine: Engine,
  inputs: readonly GradcheckInput[],
  f: (...tensors: Tensor[]) => Tensor,
): Promise<void> {
  const value = async (arrays: readonly Float64Array[]): Promise<number> =>
    engine.scopeAsync(async () =>
      engine
        .noGrad(() => objective(engine, f(...arrays.map((data, index) => engine.tensor(data, inputs[index]!.shape)))))
        .item(),
    );
  const before = engine.liveTensors();
  const analytic = await engine.scopeAsync(async () => {
    const tensors = inputs.map(({ data, shape, frozen }) => {
      const tensor = engine.tensor(data, shape);
      tensor.requiresGrad = frozen !== true;
      return tensor;
    });
    engine.backward(objective(engine, f(...tensors)));
    return Promise.all(
      tensors.map(async (tensor) =>
        tensor.grad === undefined ? undefined : ((await tensor.grad.read()) as Float64Array),
      ),
    );
  });
  expect(engine.liveTensors(), "every tensor of the check is freed").toBe(before);
  for (const [which, { data, frozen }] of inputs.entries()) {
    if (frozen === true) {
      expect(analytic[which]).toBeUndefined();
      continue;
    }
    for (let index = 0; index < data.length; index++) {
      const moved = (step: number): Float64Array[] =>
        inputs.map((input, other) =>
          other === which ? input.data.map((x, at) => (at === index ? x + step : x)) : input.data,
        );
      const numeric = ((await value(moved(1e-5))) - (await value(moved(-1e-5)))) / 2e-5;
      const exact = analytic[which]![index]!;
      expect(
        Math.abs(exact - numeric),
        `input ${which}, element ${index}: tape ${exact}, difference ${numeric}`,
      ).toBeLessThan(1e-7 * Math.max(1, Math.abs(numeric)));
    }
  }
}

/** A scalar that weighs every output element differently. */
function objective(engine: Engine, output: Tensor): Tensor {
  return sum(mul(output, engine.tensor(numbers(output.size, 3), output.shape)));
}
