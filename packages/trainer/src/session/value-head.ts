// The scalar head of a reward model: v_head.summary, in value_head.safetensors beside the adapter or the weights.

import { loadTensor, openSafetensors, writeSafetensors } from "@welltempered/checkpoint";
import { Linear, Module, Parameter, type CausalLM } from "@welltempered/nn";
import { streamOf, type Engine } from "@welltempered/tensor";
import { existsSync } from "node:fs";
import { join } from "node:path";

const fileName = "value_head.safetensors";

export class ValueHead extends Module {
  summary: Linear;

  /** As torch initialises a linear layer: weight and bias uniform in ±1/√width. */
  constructor(engine: Engine, width: number) {
    super();
    const bound = 1 / Math.sqrt(width);
    const draw = (name: string, ...shape: number[]): Parameter =>
      new Parameter(engine.uniform(shape, -bound, bound, streamOf(`v_head.summary.${name}`)));
    this.summary = new Linear(draw("weight", 1, width), draw("bias", 1));
  }
}

/** The head of a model that has one. */
export const valueHeadOf = (model: CausalLM): ValueHead | undefined => {
  const head = model.moduleAt("v_head");
  return head instanceof ValueHead ? head : undefined;
};

/** Whether a parameter's path lies in the head. */
export const isOfValueHead = (path: string): boolean => path.startsWith("v_head.");

export function addValueHead(engine: Engine, model: CausalLM, trainable: boolean): void {
  const head = new ValueHead(engine, model.headWeight.shape[1] ?? 0);
  for (const [, parameter] of head.namedParameters()) parameter.trainable = trainable;
  Object.assign(model, { v_head: head });
}

const tensorsOf = (head: ValueHead): [string, Parameter][] =>
  [...head.namedParameters()].map(([name, parameter]) => [`v_head.${name}`, parameter]);

export async function saveValueHead(folder: string, engine: Engine, model: CausalLM): Promise<void> {
  const head = valueHeadOf(model);
  if (head === undefined) return;
  const tensors = tensorsOf(head).map(([name, { shape, tensor }]) => ({
    name,
    dtype: "F32" as const,
    shape: [...shape],
    bytes: () => engine.backend.read(tensor.slot),
  }));
  await writeSafetensors(join(folder, fileName), tensors);
}

/** Fills the head from a folder that holds one. */
export function loadValueHead(engine: Engine, model: CausalLM, folder: string): void {
  const head = valueHeadOf(model);
  if (head === undefined || !existsSync(join(folder, fileName))) return;
  const weights = openSafetensors(join(folder, fileName));
  try {
    for (const [name, parameter] of tensorsOf(head))
      engine.scope(() => parameter.replace(engine.adopt(loadTensor(engine.backend, weights, name))));
  } finally {
    weights.close();
  }
}
