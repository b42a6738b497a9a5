// Olmo2ForCausalLM (OLMo team 2024): Llama with norms behind both blocks in place of those before them, and all queries
// and all keys of a token normalised together before they turn.

import { Residual, type RmsNorm } from "@welltempered/nn";
import { swiglu, type Tensor } from "@welltempered/tensor";
import { SeparateAttention, type AttentionSettings, type Pass, type QueryKeyValue } from "./attention.ts";
import { readDecoderConfig, type DecoderConfig } from "./decoder-config.ts";
import { DecoderLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { booleanField, type ConfigRecord } from "./fields.ts";
import { GatedMlp } from "./mlp.ts";
import type { Architecture } from "./model.ts";
import type { ModuleSource } from "./module-source.ts";
import { attentionTensors, headWidths, mlpTensors, normTensors } from "./tensors.ts";

class Olmo2Attention extends SeparateAttention {
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

class Olmo2Layer extends DecoderLayer {
  self_attn: Olmo2Attention;
  mlp: GatedMlp;
  post_attention_layernorm: RmsNorm;
  post_feedforward_layernorm: RmsNorm;
  attention_residual: Residual = new Residual();
  mlp_residual: Residual = new Residual();

  constructor(source: ModuleSource, { rmsNormEps }: DecoderConfig, attention: Olmo2Attention) {
    super();
    this.self_attn = attention;
    this.mlp = new GatedMlp(source.at("mlp"), swiglu);
    this.post_attention_layernorm = source.norm("post_attention_layernorm", rmsNormEps);
    this.post_feedforward_layernorm = source.norm("post_feedforward_layernorm", rmsNormEps);
  }

  forward(x: Tensor, pass: Pass): Tensor {
    const heard = this.self_attn.forward(x, pass);
    const attended = this.attention_residual.forward(x, this.post_attention_layernorm.forward(heard));
    const thought = this.mlp.forward(attended);
    return this.mlp_residual.forward(attended, this.post_feedforward_layernorm.forward(thought));
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
      new Olmo2Layer(source, config, new Olmo2Attention(source.at("self_attn"), config, { layer: index })),
  });
}
