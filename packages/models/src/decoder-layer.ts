import { Module, Residual, type RmsNorm } from "@welltempered/nn";
import { residualAdd, type Tensor } from "@welltempered/tensor";
import type { Attention, Pass } from "./attention.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModuleSource } from "./module-source.ts";

/** What goes from layer to layer: x, and what is left for the norm that reads it next to add.  [N,D] each */
export interface ResidualStream {
  x: Tensor;
  /** Consumed by who adds it. */
  delta?: Tensor;
}

/** One layer of a decoder. */
export abstract class DecoderLayer extends Module {
  abstract forward(stream: ResidualStream, pass: Pass): ResidualStream;
}

/** The stream in one tensor. */
export const summed = ({ x, delta }: ResidualStream): Tensor => (delta === undefined ? x : residualAdd(x, delta));

/** The stream in one tensor, and its norm. */
export const summedAndNormed = ({ x, delta }: ResidualStream, norm: RmsNorm): [sum: Tensor, normed: Tensor] =>
  delta === undefined ? [x, norm.forward(x)] : norm.addForward(x, delta);

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

  forward(stream: ResidualStream, pass: Pass): ResidualStream {
    const [x, read] = summedAndNormed(stream, this.input_layernorm);
    const terms = this.attention_residual.terms(x, this.self_attn.forward(read, pass));
    const [attended, normed] = this.post_attention_layernorm.addForward(...terms);
    const [left, delta] = this.mlp_residual.terms(attended, this.mlp.forward(normed));
    return { x: left, delta };
  }
}
