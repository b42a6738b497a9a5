import { argmax, generate, GenerateError, type SamplingOptions } from "@welltempered/generate";
import { architectureOf, initialWeights } from "@welltempered/models";
import { packRows, type CausalLM } from "@welltempered/nn";
import { Engine, type TensorData } from "@welltempered/tensor";
import { expect, it } from "vitest";

const engine = Engine.open({ device: "reference", threads: 1 });
const sizes = { vocab_size: 60, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2 };
const build = (): CausalLM =>
  architectureOf({ model_type: "llama", ...sizes }).build(engine, initialWeights(engine, 0.4));
const model = build();

const greedy: SamplingOptions = { doSample: false, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 };
const prompts = [Int32Array.of(3, 41, 7), Int32Array.of(5), Int32Array.of(9, 9, 2, 30)];
const answers = async (sampling: SamplingOptions, of = model): Promise<number[][]> => {
  const made = await generate(of, prompts, { sampling, maxNewTokens: 6, stopIds: [], seed: 1 });
  return made.map(({ tokens }) => [...tokens]);
};

/** The whole sequence again for every token, and the largest logit in JavaScript. */
async function oneByOne(prompt: Int32Array): Promise<number[]> {
  const tokens = [...prompt];
  for (let made = 0; made < 6; made++) {
    const logits: TensorData = await engine.noGrad(() => model.logits(model.forward(packRows([tokens])))).read();
    tokens.push(argmax(Float32Array.from(logits.slice(-sizes.vocab_size))));
  }
  return tokens.slice(prompt.length);
}

it("the backend's largest logits are the tokens of a pass without a cache", async () => {
  const wanted = await Promise.all(prompts.map(oneByOne));
  expect(await answers(greedy)).toEqual(wanted);
  expect(new Set(wanted.flat()).size).toBeGreaterThan(3);
});

it("a temperature of 0 samples nothing, and one candidate leaves nothing to sample", async () => {
  const wanted = await answers(greedy);
  expect(await answers({ ...greedy, doSample: true, temperature: 0 })).toEqual(wanted);
  expect(await answers({ ...greedy, doSample: true, topK: 1 })).toEqual(wanted);
});

it.each([
  ["greedily", greedy],
  ["with a repetition penalty", { ...greedy, repetitionPenalty: 1.1 }],
  ["by a draw", { ...greedy, doSample: true }],
])("logits that are not numbers end generation %s with NOT_FINITE", async (_, sampling) => {
  const broken = build();
  engine.backend.fill(broken.headWeight.tensor.slot, Number.NaN);
  const failed = await answers(sampling, broken).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(GenerateError);
  expect((failed as GenerateError).code).toBe("NOT_FINITE");
});
