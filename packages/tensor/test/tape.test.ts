import {
  add,
  addRmsNorm,
  Engine,
  linear,
  mul,
  recompute,
  rmsNorm,
  scale,
  sum,
  swiglu,
  TensorError,
  type Tensor,
} from "@welltempered/tensor";
import { describe, expect, it, vi } from "vitest";
import { numbers, reference } from "./finite-differences.ts";

const leaf = (engine: Engine, seed: number, ...shape: number[]): Tensor => {
  const tensor = engine.tensor(
    numbers(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  );
  tensor.requiresGrad = true;
  return tensor;
};

describe("scopes", () => {
  it("free everything made inside but the result", async () => {
    const engine = reference();
    const kept = engine.scope(() => {
      const x = engine.tensor(numbers(4));
      return [scale(scale(x, 2), 3)];
    });
    expect(engine.liveTensors()).toBe(1);
    expect((await kept[0]!.read())[1]).toBeCloseTo(6 * numbers(4)[1]!, 12);
  });

  it("free what was made before an error", () => {
    const engine = reference();
    expect(() => engine.scope(() => add(engine.tensor(numbers(4)), engine.tensor(numbers(3))))).toThrow(TensorError);
    expect(engine.liveTensors()).toBe(0);
  });

  it("make later use an error with a name", () => {
    const engine = reference();
    let escaped: Tensor | undefined;
    engine.scope(() => {
      escaped = engine.zeros([2, 3]);
    });
    expect(() => scale(escaped!, 2)).toThrow(/a \[2, 3\] tensor was used after its scope ended/);
  });
});

describe("the tape", () => {
  it("frees activations of a graph that no backward visits, when the outermost scope ends", () => {
    const engine = reference();
    const x = engine.keep(leaf(engine, 1, 3, 4));
    engine.scope(() => {
      mul(x, scale(x, 2));
    });
    expect(engine.liveTensors()).toBe(1);
  });

  it("adds the gradients of two backward passes", async () => {
    const engine = reference();
    const x = engine.keep(leaf(engine, 1, 2));
    for (const factor of [2, 5]) engine.scope(() => void engine.backward(sum(scale(x, factor))));
    expect([...(await x.grad!.read())]).toEqual([7, 7]);
  });

  it("records nothing under noGrad", () => {
    const engine = reference();
    engine.scope(() => {
      const loss = engine.noGrad(() => sum(leaf(engine, 1, 3)));
      expect(() => engine.backward(loss)).toThrow(/does not depend/);
    });
  });

  it("adds the gradient of a norm to that of its residual stream in place", () => {
    const engine = reference();
    const [copy, accumulate] = [vi.spyOn(engine.backend, "copy"), vi.spyOn(engine.backend, "accumulate")];
    const fused = vi.spyOn(engine.backend, "addRmsNormBackward");
    engine.scope(() => {
      const [x, w] = [engine.tensor(numbers(24), [3, 8]), leafless(engine, 8)];
      const weights = [leaf(engine, 1, 8, 8), leaf(engine, 2, 8, 8)] as const;
      const [middle, read] = addRmsNorm(x, linear(x, weights[0]), w, 1e-6);
      const [, last] = addRmsNorm(middle, linear(read, weights[1]), w, 1e-6);
      engine.backward(sum(mul(last, last)));
    });
    expect(fused).toHaveBeenCalledTimes(1);
    expect(copy).not.toHaveBeenCalled();
    // One sum alone: that of the two gradients which `mul` hands to one tensor.
    expect(accumulate).toHaveBeenCalledTimes(1);
  });

  it("does not write to a gradient that somebody else holds", async () => {
    const engine = reference();
    await engine.scopeAsync(async () => {
      const [x, w, seed] = [leaf(engine, 1, 3, 8), leafless(engine, 8), engine.tensor(numbers(24), [3, 8])];
      engine.backward(add(...addRmsNorm(x, scale(x, 2), w, 1e-6)), seed);
      expect([...(await seed.read())]).toEqual([...numbers(24)]);
    });
  });

  it("refuses inputs of two engines", () => {
    expect(() => add(leaf(reference(), 1, 2), leaf(reference(), 1, 2))).toThrow(/different engines/);
  });

  it("needs less memory, and gives the same bits, for a recomputed segment", async () => {
    const engine = reference();
    const block = ([x, w]: readonly Tensor[]): Tensor =>
      swiglu(linear(rmsNorm(x!, leafless(engine, 8), 1e-6), w!), scale(x!, 2));
    const run = async (deep: (x: Tensor, w: Tensor) => Tensor): Promise<{ peak: number; gradient: number[] }> =>
      engine.scopeAsync(async () => {
        const [x, w] = [leaf(engine, 1, 16, 8), leaf(engine, 2, 8, 8)];
        const loss = engine.scope(() => sum(deep(x, w)));
        const peak = engine.liveBytes();
        engine.backward(loss);
        return { peak, gradient: [...(await w.grad!.read())] };
      });
    const plain = await run((x, w) => block([block([x, w]), w]));
    const recomputed = await run((x, w) => {
      const middle = recompute(engine, [x, w], block);
      return recompute(engine, [middle, w], block);
    });
    expect(recomputed.gradient).toEqual(plain.gradient);
    expect(recomputed.peak).toBeLessThan(plain.peak);
  });
});

const leafless = (engine: Engine, width: number): Tensor => engine.tensor(new Float64Array(width).fill(1));

describe("what waits for backward in bf16", () => {
  it.each([
    ["swiglu", (x: Tensor, w: Tensor) => swiglu(linear(x, w), linear(x, w))],
    ["rmsNorm", (x: Tensor, w: Tensor) => rmsNorm(linear(x, w), x.engine.ones([4]), 1e-5)],
  ])("is read by %s as it lies", (_, op) => {
    const engine = Engine.open({ device: "cpu", threads: 1 });
    engine.narrowSaved = "bf16";
    const casts = vi.spyOn(engine.backend, "cast");
    const float = (seed: number, ...shape: number[]): Tensor => {
      const tensor = engine.tensor(
        Float32Array.from(
          numbers(
            shape.reduce((a, b) => a * b, 1),
            seed,
          ),
        ),
        shape,
      );
      tensor.requiresGrad = true;
      return tensor;
    };
    const [x, w] = [float(1, 3, 4), float(2, 4, 4)];
    const loss = engine.scope(() => sum(op(x, w)));
    expect(casts.mock.calls.map(([, type]) => type)).toContain("bf16");
    casts.mockClear();
    engine.backward(loss);
    expect(casts).not.toHaveBeenCalled();
    expect(x.grad).toBeDefined();
  });
});
