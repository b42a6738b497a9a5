// A DoRA layer and its gradients against peft's, whose norm takes no gradient (tools/python/make_peft_dora.py).
import { Linear, Parameter } from "@welltempered/nn";
import { DoraLinear } from "@welltempered/peft";
import { Engine, mul, type Tensor } from "@welltempered/tensor";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

interface Stored {
  shape: number[];
  values: number[];
}

const file = new URL("../../../fixtures/peft/dora.json", import.meta.url);
const cases = JSON.parse(readFileSync(file, "utf8")) as Record<string, Record<string, Stored>>;

/** Drops what a given mask drops. */
class MaskedDora extends DoraLinear {
  mask: Tensor | undefined;

  protected override dropped(x: Tensor): Tensor {
    return this.mask === undefined ? x : mul(x, this.mask);
  }
}

function expectClose(got: Float32Array, { values }: Stored): void {
  const largest = Math.max(...values.map(Math.abs));
  for (const [index, value] of values.entries()) expect(Math.abs(got[index]! - value)).toBeLessThan(2e-6 * largest);
}

it.each(Object.entries(cases))("%s", async (_, stored) => {
  const engine = Engine.open({ threads: 1 });
  await engine.scopeAsync(async () => {
    const tensor = (name: string): Tensor =>
      engine.tensor(Float32Array.from(stored[name]!.values), stored[name]!.shape);
    const bias = stored["b"] === undefined ? undefined : new Parameter(tensor("b"));
    const layer = new MaskedDora(new Linear(new Parameter(tensor("W")), bias), {
      path: "layer",
      r: 2,
      scaling: 3 / 2,
      dropout: 0,
    });
    const { lora_A, lora_B, lora_magnitude_vector: magnitude } = layer;
    const read = async ({ tensor: { grad } }: { tensor: Tensor }): Promise<Float32Array> =>
      (await grad!.read()) as Float32Array;
    expectClose((await magnitude.tensor.read()) as Float32Array, stored["initial"]!);

    for (const [parameter, name] of [
      [lora_A, "A"],
      [lora_B, "B"],
      [magnitude, "m"],
    ] as const)
      parameter.replace(tensor(name));
    if (stored["mask"] !== undefined) layer.mask = tensor("mask");
    const x = tensor("x");
    x.requiresGrad = true;
    const y = layer.forward(x);
    expectClose((await y.read()) as Float32Array, stored["y"]!);
    engine.backward(y, tensor("g"));
    expectClose(await read({ tensor: x }), stored["dx"]!);
    expectClose(await read(lora_A), stored["dA"]!);
    expectClose(await read(lora_B), stored["dB"]!);
    expectClose(await read(magnitude), stored["dm"]!);
  });
});
