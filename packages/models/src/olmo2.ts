// Olmo2ForCausalLM (OLMo team 2024): Llama with norms behind both blocks in place of those before them, and all queries
// and all keys of a token normalised together before they turn.

import { Residual, type RmsNorm } from "@welltempered/nn";
import { swiglu } from "@welltempered/tensor";
import { NormedAttention, type Pass } from "./attention.ts";
import { readDecoderConfig, type DecoderConfig } from "./decoder-config.ts";
import { DecoderLayer, summed, type ResidualStream } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import type { ModuleSource } from "./module-source.ts";
import { attentionTensors, headWidths, mlpTensors, normTensors } from "./tensors.ts";

class Olmo2Layer extends DecoderLayer {
  self_attn: NormedAttention;
  mlp: GatedMlp;
  post_attention_layernorm: RmsNorm;
  post_feedforward_layernorm: RmsNorm;
  attention_residual: Residual = new Residual();
  mlp_residual: Residual = new Residual();

  constructor(source: ModuleSource, { rmsNormEps }: DecoderConfig, attention: NormedAttention) {
    super();
    this.self_attn = attention;
    this.mlp = new GatedMlp(source.at("mlp"), swiglu);
    this.post_attention_layernorm = source.norm("post_attention_layernorm", rmsNormEps);
    this.post_feedforward_layernorm = source.norm("post_feedforward_layernorm", rmsNormEps);
  }

  /** No norm reads a sum but the last one: sums are made here, that one by the model. */
  forward(stream: ResidualStream, pass: Pass): ResidualStream {
    const x = summed(stream);
    const heard = this.self_attn.forward(x, pass);
    const attended = this.attention_residual.forward(x, this.post_attention_layernorm.forward(heard));
    const thought = this.mlp.forward(attended);
    const [left, delta] = this.mlp_residual.terms(attended, this.post_feedforward_layernorm.forward(thought));
    return { x: left, delta };
  }
}

/** The `olmo2` architecture. @throws {ModelConfigError} naming the key of config.json */
export function olmo2(record: ConfigRecord): Architecture {
  const config = readDecoderConfig(record, { rmsNormEps: 1e-5 });
  const bias = booleanField(record, "attention_bias", false);
  const [queries, keys] = headWidths(config);
  return decoder(config, {
    layerTensors: [
      ...attentionTensors(config, { qkv: bias, o: bias }),
      ...normTensors(queries, "self_attn.q_norm"),
      ...normTensors(keys, "self_attn.k_norm"),
      ...mlpTensors(config),
      ...normTensors(config.hiddenSize, "post_attention_layernorm", "post_feedforward_layernorm"),
    ],
    layer: (source, index) =>
      new Olmo2Layer(source, config, new NormedAttention(source.at("self_attn"), config, { layer: index })),
  });
}
