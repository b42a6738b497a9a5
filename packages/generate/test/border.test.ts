// LongRoPE turns keys another way behind the trained length, so a cache filled before does not serve. What a forward pass
// without a cache gives, which tests/interop holds against transformers, is the measure.
import { argmax, generate } from "@welltempered/generate";
import { architectureOf, initialWeights } from "@welltempered/models";
import { packRows, VirtualTokens } from "@welltempered/nn";
import { Engine, type Tensor } from "@welltempered/tensor";
import { expect, it } from "vitest";

const engine = Engine.open({ device: "reference", threads: 1 });
const model = architectureOf({
  model_type: "phi3",
  vocab_size: 50,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  original_max_position_embeddings: 9,
  rope_scaling: { type: "longrope", short_factor: [1, 1, 2, 3], long_factor: [2, 4, 8, 16] },
}).build(engine, initialWeights(engine, 0.4));

class Virtual extends VirtualTokens {
  readonly length = 3;
  readonly #rows = engine.normal([3, 16], 0, 0.4, 5);
  embedded(): Tensor {
    return this.#rows;
  }
}

async function withoutCache(prompts: number[][], count: number, stop?: number): Promise<number[][]> {
  const answers = prompts.map((): number[] => []);
  const ended = new Set<number>();
  for (let step = 0; step < count; step++) {
    const live = [...prompts.keys()].filter((at) => !ended.has(at));
    const rows = packRows(live.map((at) => [...prompts[at]!, ...answers[at]!]));
    const logits = await engine.noGrad(() => model.logits(model.forward(rows))).read();
    for (const [index, { start, length }] of rows.segments.entries()) {
      const token = argmax(Float32Array.from(logits.slice((start + length - 1) * 50, (start + length) * 50)));
      if (token === stop) ended.add(live[index]!);
      else answers[live[index]!]!.push(token);
    }
  }
  return answers;
}

const sampling = { doSample: false, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 };
async function withCache(prompts: number[][], count: number, stop?: number): Promise<number[][]> {
  const options = { sampling, maxNewTokens: count, stopIds: stop === undefined ? [] : [stop], seed: 0 };
  const completions = await generate(
    model,
    prompts.map((prompt) => Int32Array.from(prompt)),
    options,
  );
  return completions.map(({ tokens }) => [...tokens]);
}

const prompts = [
  [3, 41, 7, 7, 12, 9],
  [5, 2, 30],
];

it("a cache is filled again where the longest sequence crosses the border, and where that one ends", async () => {
  const wanted = await withoutCache(prompts, 12);
  expect(await withCache(prompts, 12)).toEqual(wanted);
  const stop = wanted[0]!.find((token, at) => at > 4 && !wanted[0]!.slice(0, at).includes(token));
  expect(stop).toBeDefined();
  const shorter = await withoutCache(prompts, 12, stop);
  expect(shorter[0]!.length).toBeGreaterThan(4);
  expect(shorter[1]!.length).toBeGreaterThan(shorter[0]!.length);
  expect(await withCache(prompts, 12, stop)).toEqual(shorter);
});

it("virtual tokens turn as the sequences behind them do", async () => {
  model.prefix = new Virtual();
  try {
    expect(await withCache(prompts, 12)).toEqual(await withoutCache(prompts, 12));
  } finally {
    model.prefix = undefined;
  }
});
