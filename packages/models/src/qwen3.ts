// Qwen3ForCausalLM (Qwen 2025): Llama whose queries and keys are normalised head by head before they turn.

import type { RmsNorm } from "@welltempered/nn";
import { swiglu, type Tensor } from "@welltempered/tensor";
import { SeparateAttention, type AttentionSettings, type QueryKeyValue } from "./attention.ts";
import { readDecoderConfig, type DecoderConfig } from "./decoder-config.ts";
import { PreNormLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import type { ModuleSource } from "./module-source.ts";
import { qwenWindows } from "./qwen2.ts";
import { attentionTensors, mlpTensors, normTensors } from "./tensors.ts";

class Qwen3Attention extends SeparateAttention {
  q_norm: RmsNorm;
  k_norm: RmsNorm;

  constructor(source: ModuleSource, config: DecoderConfig, settings: AttentionSettings) {
    super(source, config, settings);
    this.q_norm = source.norm("q_norm", config.rmsNormEps);
    this.k_norm = source.norm("k_norm", config.rmsNormEps);
  }

  protected override project(x: Tensor): QueryKeyValue {
    const { q, k, v } = super.project(x);
    return { q: this.q_norm.forward(q), k: this.k_norm.forward(k), v };
  }
}

/** The `qwen3` architecture. @throws {ModelConfigError} naming the key of config.json */
export function qwen3(record: ConfigRecord): Architecture {
  const config = readDecoderConfig(record, { numKeyValueHeads: 32, headDim: 128 });
  const bias = booleanField(record, "attention_bias", false);
  const windows = qwenWindows(record, config);
  return decoder(config, {
    layerTensors: [
      ...attentionTensors(config, { qkv: bias, o: bias }),
      ...normTensors(config.headDim, "self_attn.q_norm", "self_attn.k_norm"),
      ...mlpTensors(config),
      ...normTensors(config.hiddenSize, "input_layernorm", "post_attention_layernorm"),
    ],
    layer: (source, index) =>
      new PreNormLayer(source, config, {
        attention: new Qwen3Attention(source.at("self_attn"), config, { layer: index, window: windows[index] ?? 0 }),
        mlp: new GatedMlp(source.at("mlp"), swiglu),
      }),
  });
}
