// Gemma2ForCausalLM (Gemma team 2024): norms before and after both blocks, their weights kept around 0, GeGLU, scaled
// embeddings, softly capped scores and logits, and a sliding window in every second layer.

import type { RmsNorm } from "@welltempered/nn";
import { geglu } from "@welltempered/tensor";
import { SeparateAttention, type Pass } from "./attention.ts";
import { layerWindows, readDecoderConfig, slidingWindow, type DecoderConfig } from "./decoder-config.ts";
import { DecoderLayer, summedAndNormed, type ResidualStream } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, numberField, onlyField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import type { ModuleSource } from "./module-source.ts";
import { attentionTensors, mlpTensors, normTensors } from "./tensors.ts";

/** A norm multiplies by 1 + weight. */
const NORM_OFFSET = 1;

class Gemma2Layer extends DecoderLayer {
  self_attn: SeparateAttention;
  mlp: GatedMlp;
  input_layernorm: RmsNorm;
  post_attention_layernorm: RmsNorm;
  pre_feedforward_layernorm: RmsNorm;
  post_feedforward_layernorm: RmsNorm;

  constructor(source: ModuleSource, { rmsNormEps }: DecoderConfig, attention: SeparateAttention) {
    super();
    this.self_attn = attention;
    this.mlp = new GatedMlp(source.at("mlp"), geglu);
    const norm = (name: string): RmsNorm => source.norm(name, rmsNormEps, NORM_OFFSET);
    this.input_layernorm = norm("input_layernorm");
    this.post_attention_layernorm = norm("post_attention_layernorm");
    this.pre_feedforward_layernorm = norm("pre_feedforward_layernorm");
    this.post_feedforward_layernorm = norm("post_feedforward_layernorm");
  }

  forward(stream: ResidualStream, pass: Pass): ResidualStream {
    const [x, read] = summedAndNormed(stream, this.input_layernorm);
    const heard = this.post_attention_layernorm.forward(this.self_attn.forward(read, pass));
    const [attended, normed] = this.pre_feedforward_layernorm.addForward(x, heard);
    return { x: attended, delta: this.post_feedforward_layernorm.forward(this.mlp.forward(normed)) };
  }
}

/** A soft cap; null is none. */
const capField = (record: ConfigRecord, key: string, fallback: number): number =>
  record[key] === null ? 0 : numberField(record, key, fallback);

/** The `gemma2` architecture. @throws {ModelConfigError} naming the key of config.json */
export function gemma2(record: ConfigRecord): Architecture {
  const activation = ["hidden_activation", "gelu_pytorch_tanh"] as const;
  const config = readDecoderConfig(record, { numKeyValueHeads: 4, headDim: 256, tied: true, activation });
  onlyField(record, "use_bidirectional_attention", false);
  const bias = booleanField(record, "attention_bias", false);
  const windows = layerWindows(record, config.numLayers, slidingWindow(record, 4096), (layer) => layer % 2 === 0);
  const scale = numberField(record, "query_pre_attn_scalar", 256) ** -0.5;
  const softCap = capField(record, "attn_logit_softcapping", 50);
  return decoder(config, {
    layerTensors: [
      ...attentionTensors(config, { qkv: bias, o: bias }),
      ...mlpTensors(config),
      ...normTensors(config.hiddenSize, "input_layernorm", "post_attention_layernorm"),
      ...normTensors(config.hiddenSize, "pre_feedforward_layernorm", "post_feedforward_layernorm"),
    ],
    embeddingScale: Math.sqrt(config.hiddenSize),
    normOffset: NORM_OFFSET,
    logitSoftCap: capField(record, "final_logit_softcapping", 30),
    floatFields: ["attn_logit_softcapping", "final_logit_softcapping"],
    layer: (source, index) => {
      const settings = { layer: index, scale, softCap, window: windows[index] ?? 0 };
      return new Gemma2Layer(source, config, new SeparateAttention(source.at("self_attn"), config, settings));
    },
  });
}
