import { Module, Residual, type RmsNorm } from "@welltempered/nn";
import type { Tensor } from "@welltempered/tensor";
import type { Attention, Pass } from "./attention.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModuleSource } from "./module-source.ts";

/** One layer of a decoder. */
export abstract class DecoderLayer extends Module {
  /** x [N,D] → [N,D] */
  abstract forward(x: Tensor, pass: Pass): Tensor;
}

/** Llama's layer: x + attention(norm(x)), then x + mlp(norm(x)). */
export class PreNormLayer extends DecoderLayer {
  self_attn: Attention;
  mlp: Module & { forward(x: Tensor): Tensor };
  input_layernorm: RmsNorm;
  post_attention_layernorm: RmsNorm;
  attention_residual: Residual = new Residual();
  mlp_residual: Residual = new Residual();

  constructor(
    source: ModuleSource,
    { rmsNormEps }: DecoderConfig,
    { attention, mlp }: { attention: Attention; mlp: PreNormLayer["mlp"] },
  ) {
    super();
    this.self_attn = attention;
    this.mlp = mlp;
    this.input_layernorm = source.norm("input_layernorm", rmsNormEps);
    this.post_attention_layernorm = source.norm("post_attention_layernorm", rmsNormEps);
  }

  forward(x: Tensor, pass: Pass): Tensor {
    const attended = this.attention_residual.forward(x, this.self_attn.forward(this.input_layernorm.forward(x), pass));
    return this.mlp_residual.forward(attended, this.mlp.forward(this.post_attention_layernorm.forward(attended)));
  }
}
