import { architectureOf, initialWeights, ModelConfigError } from "@welltempered/models";
import { Engine } from "@welltempered/tensor";
import { expect, it } from "vitest";

const sizes = {
  vocab_size: 20,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 4,
};
const longrope = (change: object = {}) => ({ type: "su", short_factor: [1, 1], long_factor: [2, 3], ...change });
const types = ["gemma2", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3"];

it.each<[string, Record<string, unknown>, RegExp]>([
  ["phi3", { rope_scaling: longrope({ short_factor: [1] }) }, /short_factor: has 1 numbers; it must have 2/],
  ["phi3", { rope_scaling: longrope({ long_factor: [2, 0] }) }, /long_factor: is \[2,0\]/],
  ["phi3", { rope_scaling: longrope(), original_max_position_embeddings: 1 }, /original_max_position_embeddings: is 1/],
  ["phi3", { rope_parameters: { rope_type: "linear", factor: 2 } }, /rope_scaling: .*linear/],
  ["phi3", { partial_rotary_factor: 0.3 }, /partial_rotary_factor: .*1 of 4/],
  ["phi3", { resid_pdrop: 0.1 }, /resid_pdrop: is 0.1/],
  ["gemma2", { use_bidirectional_attention: true }, /use_bidirectional_attention: is true/],
  ["gemma2", { hidden_activation: "gelu" }, /hidden_activation: is "gelu"/],
  ["gemma2", { attn_logit_softcapping: -1 }, /attn_logit_softcapping: is -1/],
  ["gemma2", { sliding_window: null }, /sliding_window: .*switched off/],
  ["qwen2", { layer_types: ["full_attention", "chunked_attention"] }, /layer_types: .*chunked_attention/],
  ["qwen3", { layer_types: ["full_attention"] }, /layer_types: .*each of 2 layers/],
  ["mistral", { sliding_window: 0 }, /sliding_window: is 0/],
  ...types.map((type): [string, Record<string, unknown>, RegExp] => [
    type,
    { attention_dropout: 0.1 },
    /attention_dropout: is 0.1/,
  ]),
])("%s refuses %j by the key's name", (model_type, change, message) => {
  const config = { ...sizes, model_type, ...change };
  expect(() => architectureOf(config)).toThrow(ModelConfigError);
  expect(() => architectureOf(config)).toThrow(message);
});

it.each(types)("fresh norms of %s multiply by one, and every tensor of its table is used once", async (model_type) => {
  const engine = Engine.open({ device: "reference", threads: 1 });
  const architecture = architectureOf({ ...sizes, model_type });
  const model = architecture.build(engine, initialWeights(engine, 0.02, architecture.freshNorm));
  const parameters = new Map(model.namedParameters());
  expect([...parameters.keys()].toSorted()).toEqual([...architecture.expectedWeights().keys()].toSorted());
  const norm = await parameters.get("model.norm.weight")!.tensor.read();
  expect([...norm]).toEqual(Array.from({ length: 8 }, () => (model_type === "gemma2" ? 0 : 1)));
});

it("a configuration without model_type is named by its class", () => {
  const { names } = architectureOf({ ...sizes, architectures: ["Qwen2ForCausalLM"] });
  expect(names).toEqual({ architectures: ["Qwen2ForCausalLM"], model_type: "qwen2" });
});
