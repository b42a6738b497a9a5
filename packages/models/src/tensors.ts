// Tables of the tensors that a checkpoint holds: names below a module, and shapes.

import type { Shape } from "@welltempered/tensor";
import type { DecoderConfig } from "./decoder-config.ts";

export type Tensors = readonly (readonly [name: string, shape: Shape])[];

export const linearTensors = (name: string, out: number, inn: number, bias = false): Tensors => [
  [`${name}.weight`, [out, inn]],
  ...(bias ? ([[`${name}.bias`, [out]]] as const) : []),
];

export const normTensors = (width: number, ...names: string[]): Tensors =>
  names.map((name) => [`${name}.weight`, [width]]);

/** Widths of all query heads, and of all key heads. */
export const headWidths = ({ numHeads, numKeyValueHeads, headDim }: DecoderConfig): [queries: number, keys: number] => [
  numHeads * headDim,
  numKeyValueHeads * headDim,
];

/** `self_attn` with separate q, k, v and o. */
export function attentionTensors(config: DecoderConfig, bias: { qkv: boolean; o: boolean }): Tensors {
  const [queries, keys] = headWidths(config);
  return [
    ...linearTensors("self_attn.q_proj", queries, config.hiddenSize, bias.qkv),
    ...linearTensors("self_attn.k_proj", keys, config.hiddenSize, bias.qkv),
    ...linearTensors("self_attn.v_proj", keys, config.hiddenSize, bias.qkv),
    ...linearTensors("self_attn.o_proj", config.hiddenSize, queries, bias.o),
  ];
}

/** `mlp` with separate gate, up and down. */
export const mlpTensors = ({ hiddenSize, intermediateSize }: DecoderConfig, bias = false): Tensors => [
  ...linearTensors("mlp.gate_proj", intermediateSize, hiddenSize, bias),
  ...linearTensors("mlp.up_proj", intermediateSize, hiddenSize, bias),
  ...linearTensors("mlp.down_proj", hiddenSize, intermediateSize, bias),
];

/** All of a checkpoint whose layers hold `layer` each. */
export function decoderTensors(config: DecoderConfig, layer: Tensors): Map<string, Shape> {
  const table = new Map<string, Shape>([
    ["model.embed_tokens.weight", [config.vocabSize, config.hiddenSize]],
    ["model.norm.weight", [config.hiddenSize]],
  ]);
  if (!config.tied) table.set("lm_head.weight", [config.vocabSize, config.hiddenSize]);
  for (let index = 0; index < config.numLayers; index++)
    for (const [name, shape] of layer) table.set(`model.layers.${index}.${name}`, shape);
  return table;
}
