// Qwen3ForCausalLM (Qwen 2025): Llama whose queries and keys are normalised head by head before they turn.

import { swiglu } from "@welltempered/tensor";
import { NormedAttention } from "./attention.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { PreNormLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import { qwenWindows } from "./qwen2.ts";
import { attentionTensors, mlpTensors, normTensors } from "./tensors.ts";

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
        attention: new NormedAttention(source.at("self_attn"), config, { layer: index, window: windows[index] ?? 0 }),
        mlp: new GatedMlp(source.at("mlp"), swiglu),
      }),
  });
}
