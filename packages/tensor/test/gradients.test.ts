import { cast, scale, sum } from "@welltempered/tensor";
import { describe, expect, it } from "vitest";
import { numbers, reference } from "./finite-differences.ts";
import { gradientCases } from "./gradient-cases.ts";
import { gradcheck } from "./gradcheck.ts";

describe("gradients equal finite differences in f64", () => {
  const engine = reference();
  it.each(gradientCases(engine))("$name", ({ inputs, f }) => gradcheck(engine, inputs, f));

  it("cast to f32 and back keeps the gradient to f32 precision", async () => {
    await engine.scopeAsync(async () => {
      const x = engine.tensor(numbers(6), [2, 3]);
      x.requiresGrad = true;
      engine.backward(sum(scale(cast(cast(x, "f32"), "f64"), 3)));
      expect([...(await x.grad!.read())]).toEqual([3, 3, 3, 3, 3, 3]);
    });
  });
});
