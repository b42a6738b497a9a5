import { architectureOf, initialWeights } from "@welltempered/models";
import { packRows } from "@welltempered/nn";
import { Engine, linearCrossEntropy } from "@welltempered/tensor";
import { expect, it } from "vitest";

const sizes = {
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  sliding_window: 6,
};

const prompt = Array.from({ length: 30 }, (_, index) => (index * 7) % 40);
const rows = packRows([
  [...prompt, 1, 2, 3],
  [5, 6, 7],
  [...prompt, 1, 4],
  [...prompt.slice(0, 20), 9, 9],
]);

/** Twenty tokens of three rows are computed once; the ten more that two have in common are too few. */
const shared = 2 * 20;

/** Loss and gradients, all in one list. */
async function step(model_type: string, shares: boolean): Promise<Float64Array[]> {
  const engine = Engine.open({ device: "cpu", threads: 2 });
  const architecture = architectureOf({ ...sizes, model_type });
  const model = architecture.build(engine, initialWeights(engine, 0.2, architecture.freshNorm));
  model.sharesPrefixes = shares;
  const decode = model.decode.bind(model);
  model.decode = (embedded, decoded, store) => {
    expect(decoded.tokens.length).toBe(shares ? rows.tokens.length - shared : rows.tokens.length);
    return decode(embedded, decoded, store);
  };
  for (const [, parameter] of model.namedParameters()) parameter.trainable = true;
  const labels = engine.tensor(rows.tokens.map((token, row) => (row % 3 === 0 ? -100 : (token + 1) % 40)));
  const loss = await engine.scopeAsync(async () => {
    const sum = linearCrossEntropy(model.forward(rows), model.headWeight.tensor, labels, model.logitSoftCap);
    engine.backward(sum);
    return sum.item();
  });
  const gradients = [...model.namedParameters()].map(async ([, { grad }]) => Float64Array.from(await grad!.read()));
  return [Float64Array.of(loss), ...(await Promise.all(gradients))];
}

it.each(["llama", "mistral", "gemma2", "phi3", "qwen3"])("shared beginnings change nothing: %s", async (type) => {
  const [shared, apart] = [await step(type, true), await step(type, false)];
  for (const [at, values] of apart.entries()) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThan(0);
    for (const [i, value] of values.entries())
      expect(Math.abs(shared[at]![i]! - value)).toBeLessThanOrEqual(1e-6 * largest);
  }
});
