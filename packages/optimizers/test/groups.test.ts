import { Engine } from "@welltempered/tensor";
import { afterAll, expect, it } from "vitest";
import { loraPlusGroups } from "../src/index.ts";

const engine = Engine.open({ threads: 1 });
const kept = (...shape: number[]) => ({ tensor: engine.keep(engine.zeros(shape)) });

const layer = "model.layers.0.self_attn.q_proj";
const parameters = [
  [`${layer}.lora_A.weight`, kept(2, 4)],
  [`${layer}.lora_B.weight`, kept(4, 2)],
  ["model.embed_tokens.lora_embedding_B.weight", kept(4, 2)],
  ["lm_head.weight", kept(8, 4)],
  ["model.norm.weight", kept(4)],
  [`${layer}.bias`, kept(4)],
  [`${layer}.magnitude`, kept(4)],
] as const;
afterAll(() => parameters.forEach(([, { tensor }]) => tensor.dispose()));

// What _create_loraplus_optimizer of LlamaFactory 0.9.5 does with these names, weight_decay 0.1 and learning rate 1e-4.
it("LoRA+ makes LlamaFactory's groups, in its order", () => {
  const groups = loraPlusGroups(parameters, 0.1, { ratio: 16, embedding: 1e-6, learningRate: 1e-4 });
  const seen = groups.map(({ names, weightDecay, learningRateFactor }) => [names, weightDecay, learningRateFactor]);
  expect(seen).toEqual([
    [[`${layer}.lora_A.weight`, "lm_head.weight"], 0.1, 1],
    [[`${layer}.lora_B.weight`, `${layer}.magnitude`], 0.1, 16],
    [["model.norm.weight", `${layer}.bias`], 0, 16],
    [["model.embed_tokens.lora_embedding_B.weight"], 0.1, 1e-6 / 1e-4],
  ]);
});

it("LoRA+ leaves out a group without members", () => {
  const groups = loraPlusGroups(parameters.slice(0, 2), 0, { ratio: 4, embedding: 1e-6, learningRate: 1e-4 });
  expect(groups.map(({ learningRateFactor }) => learningRateFactor)).toEqual([1, 4]);
});
