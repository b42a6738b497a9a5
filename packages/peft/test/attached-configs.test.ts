// What a file may say about methods that wrap no projection, and what is refused by name.
import { readAdapterConfig } from "@welltempered/peft";
import { describe, expect, it } from "vitest";

const prompt = { peft_type: "PROMPT_TUNING", task_type: "CAUSAL_LM", num_virtual_tokens: 4 };
const prefix = { peft_type: "PREFIX_TUNING", task_type: "CAUSAL_LM", num_virtual_tokens: 4 };
const bottleneck = { mh_adapter: true, output_adapter: true, reduction_factor: 16, non_linearity: "swish" };

describe("an adapter_config.json", () => {
  it("needs no sizes of the model", () => {
    expect(readAdapterConfig(prompt)).toMatchObject({ init: "RANDOM", tokenDim: null, numLayers: null });
    expect(readAdapterConfig(prefix)).toMatchObject({ prefixProjection: false, inferenceMode: true });
  });

  it("of `adapters` needs what the method is made of", () => {
    const config = readAdapterConfig({ config: bottleneck, name: "mine", version: "adapters.1.0.0" });
    expect(config).toMatchObject({ afterAttention: true, afterMlp: true, readsSum: false, name: "mine" });
  });

  it.each([
    [{ ...prompt, num_virtual_tokens: 0 }, "num_virtual_tokens is 0"],
    [{ ...prompt, num_virtual_tokens: 2.5 }, "num_virtual_tokens is 2.5"],
    [{ ...prompt, num_virtual_tokens: 1e9 }, "num_virtual_tokens is 1000000000"],
    [{ ...prompt, num_transformer_submodules: 2 }, "num_transformer_submodules is 2"],
    [{ ...prompt, modules_to_save: ["lm_head"] }, "modules_to_save is"],
    [{ ...prompt, prompt_tuning_init: "LEARNED" }, "prompt_tuning_init is"],
    [{ ...prefix, encoder_hidden_size: -1 }, "encoder_hidden_size is -1"],
    [{ ...prefix, init_weights: "ones" }, "init_weights is"],
    [{ config: { ...bottleneck, is_parallel: true } }, "is_parallel is true"],
    [{ config: { ...bottleneck, ln_before: true } }, "ln_before is true"],
    [{ config: { ...bottleneck, scaling: "learned" } }, "scaling is"],
    [{ config: { ...bottleneck, leave_out: [0] } }, "leave_out is"],
    [{ config: { ...bottleneck, phm_layer: true } }, "phm_layer is true"],
    [{ config: { ...bottleneck, inv_adapter: "nice" } }, "inv_adapter is"],
    [{ config: { ...bottleneck, non_linearity: "gelu" } }, "non_linearity is"],
    [{ config: { ...bottleneck, reduction_factor: { default: 16 } } }, "reduction_factor is"],
    [{ config: { architecture: "lora", r: 8 } }, "architecture is"],
    [{ peft_type: "BOTTLENECK_2" }, "supported is LORA, "],
  ])("%j is refused", (json, message) => {
    expect(() => readAdapterConfig(json)).toThrow(message);
  });
});
