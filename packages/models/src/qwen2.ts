// Qwen2ForCausalLM (Qwen 2024; also Qwen 2.5): Llama with biases on q, k and v, and a sliding window in upper layers
// where the configuration asks for it.

import { swiglu } from "@welltempered/tensor";
import { SeparateAttention } from "./attention.ts";
import { layerWindows, readDecoderConfig, slidingWindow, type DecoderConfig } from "./decoder-config.ts";
import { PreNormLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, integerField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import { attentionTensors, mlpTensors, normTensors } from "./tensors.ts";

/** `use_sliding_window`: from layer `max_window_layers` on, unless `layer_types` lists them. */
export function qwenWindows(record: ConfigRecord, { numLayers }: DecoderConfig): number[] {
  const window = booleanField(record, "use_sliding_window", false) ? slidingWindow(record, 4096) : 0;
  const first = window === 0 ? numLayers : integerField(record, "max_window_layers", 28, undefined, 0);
  return layerWindows(record, numLayers, window, (layer) => layer >= first);
}

/** The `qwen2` architecture. @throws {ModelConfigError} naming the key of config.json */
export function qwen2(record: ConfigRecord): Architecture {
  const config = readDecoderConfig(record, { numKeyValueHeads: 32 });
  const windows = qwenWindows(record, config);
  return decoder(config, {
    layerTensors: [
      ...attentionTensors(config, { qkv: true, o: false }),
      ...mlpTensors(config),
      ...normTensors(config.hiddenSize, "input_layernorm", "post_attention_layernorm"),
    ],
    layer: (source, index) =>
      new PreNormLayer(source, config, {
        attention: new SeparateAttention(source.at("self_attn"), config, { layer: index, window: windows[index] ?? 0 }),
        mlp: new GatedMlp(source.at("mlp"), swiglu),
      }),
  });
}
