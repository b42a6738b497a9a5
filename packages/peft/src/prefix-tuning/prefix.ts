import { Embedding, KeyValuePrefix, Linear, Parameter, type LayerKeyValues } from "@welltempered/nn";
import { activate, reshape, streamOf, takeRows, type Engine, type Tensor } from "@welltempered/tensor";
import type { Attachment } from "../method.ts";

export interface PrefixSizes {
  /** P */
  length: number;
  layers: number;
  /** Channels of k and of v of one layer. */
  width: number;
}

/** Prefix tuning (Li & Liang 2021): in each layer l, k = [Kₗ; k] and v = [Vₗ; v]. */
export abstract class PrefixTuning extends KeyValuePrefix implements Attachment {
  readonly length: number;
  readonly layers: number;
  readonly width: number;

  constructor({ length, layers, width }: PrefixSizes) {
    super();
    this.length = length;
    this.layers = layers;
    this.width = width;
  }

  /** Each row is K₀ V₀ K₁ V₁ … of one virtual token, [P, 2·layers·width]. */
  abstract table(): Tensor;
  abstract adapterTensors(): [name: string, parameter: Parameter][];

  open(): (layer: number) => LayerKeyValues {
    const { length, layers, width } = this;
    const parts = reshape(this.table(), [length * 2 * layers, width]);
    const part = (index: number): Tensor =>
      takeRows(parts, parts.engine.tensor(Int32Array.from({ length }, (_, token) => token * 2 * layers + index)));
    return (layer) => ({ k: part(2 * layer), v: part(2 * layer + 1) });
  }
}

/** Keys and values that train themselves, from N(0, 1). */
export class PrefixTable extends PrefixTuning {
  prompt_embeddings: Parameter;

  constructor(engine: Engine, sizes: PrefixSizes) {
    super(sizes);
    const shape = [sizes.length, 2 * sizes.layers * sizes.width];
    this.prompt_embeddings = new Parameter(engine.normal(shape, 0, 1, streamOf("prompt_embeddings")));
    this.prompt_embeddings.trainable = true;
  }

  table(): Tensor {
    return this.prompt_embeddings.tensor;
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [["prompt_embeddings", this.prompt_embeddings]];
  }
}

/** Keys and values made by a network: W₂ tanh(W₁ E + b₁) + b₂.  E [P, width], W₁ [hidden, width]. torch's starting values. */
export class PrefixEncoder extends PrefixTuning {
  embedding: Embedding;
  first: Linear;
  second: Linear;

  constructor(engine: Engine, sizes: PrefixSizes, hidden: number) {
    super(sizes);
    const { length, layers, width } = sizes;
    this.embedding = new Embedding(new Parameter(engine.normal([length, width], 0, 1, streamOf("prefix.embedding"))));
    this.first = drawn(engine, "prefix.transform.0", hidden, width);
    this.second = drawn(engine, "prefix.transform.2", 2 * layers * width, hidden);
    for (const [, parameter] of this.adapterTensors()) parameter.trainable = true;
  }

  table(): Tensor {
    return this.second.forward(activate("tanh", this.first.forward(this.embedding.weight.tensor)));
  }

  /** Under the names of peft's module, which never saves them. */
  adapterTensors(): [name: string, parameter: Parameter][] {
    const layers = Object.entries({ "transform.0": this.first, "transform.2": this.second });
    return [
      ["embedding.weight", this.embedding.weight],
      ...layers.flatMap(([name, { weight, bias }]): [string, Parameter][] => [
        [`${name}.weight`, weight],
        ...(bias === undefined ? [] : [[`${name}.bias`, bias] as [string, Parameter]]),
      ]),
    ];
  }

  fileTensors(): [name: string, parameter: Parameter][] {
    const { engine } = this.embedding.weight.tensor;
    return [["prompt_embeddings", engine.noGrad(() => engine.scope(() => new Parameter(this.table())))]];
  }
}

function drawn(engine: Engine, path: string, out: number, inn: number): Linear {
  const bound = 1 / Math.sqrt(inn);
  const uniform = (name: string, shape: number[]): Parameter =>
    new Parameter(engine.uniform(shape, -bound, bound, streamOf(`${path}.${name}`)));
  return new Linear(uniform("weight", [out, inn]), uniform("bias", [out]));
}
