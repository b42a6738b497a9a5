// LlamaForCausalLM (Touvron et al. 2023): pre-norm decoder with RoPE, grouped-query attention and SwiGLU.

import { swiglu } from "@welltempered/tensor";
import { SeparateAttention } from "./attention.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { PreNormLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import { attentionTensors, mlpTensors, normTensors } from "./tensors.ts";

/** The `llama` architecture. @throws {ModelConfigError} naming the key of config.json */
export function llama(record: ConfigRecord): Architecture {
  const config = readDecoderConfig(record);
  const attentionBias = booleanField(record, "attention_bias", false);
  const mlpBias = booleanField(record, "mlp_bias", false);
  return decoder(config, {
    layerTensors: [
      ...attentionTensors(config, { qkv: attentionBias, o: attentionBias }),
      ...mlpTensors(config, mlpBias),
      ...normTensors(config.hiddenSize, "input_layernorm", "post_attention_layernorm"),
    ],
    layer: (source, index) =>
      new PreNormLayer(source, config, {
        attention: new SeparateAttention(source.at("self_attn"), config, { layer: index }),
        mlp: new GatedMlp(source.at("mlp"), swiglu),
      }),
  });
}
