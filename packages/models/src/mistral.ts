// MistralForCausalLM (Jiang et al. 2023): Llama with a sliding window in every layer, unless `sliding_window` is null.

import { swiglu } from "@welltempered/tensor";
import { SeparateAttention } from "./attention.ts";
import { readDecoderConfig, slidingWindow } from "./decoder-config.ts";
import { PreNormLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import type { ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import { attentionTensors, mlpTensors, normTensors } from "./tensors.ts";

/** The `mistral` architecture. @throws {ModelConfigError} naming the key of config.json */
export function mistral(record: ConfigRecord): Architecture {
  const config = readDecoderConfig(record, { numKeyValueHeads: 8 });
  const window = slidingWindow(record, 4096);
  return decoder(config, {
    layerTensors: [
      ...attentionTensors(config, { qkv: false, o: false }),
      ...mlpTensors(config),
      ...normTensors(config.hiddenSize, "input_layernorm", "post_attention_layernorm"),
    ],
    layer: (source, index) =>
      new PreNormLayer(source, config, {
        attention: new SeparateAttention(source.at("self_attn"), config, { layer: index, window }),
        mlp: new GatedMlp(source.at("mlp"), swiglu),
      }),
  });
}
