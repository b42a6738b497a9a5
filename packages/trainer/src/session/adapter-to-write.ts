// A trained adapter as the files that Hugging Face loads, wherever they go.

import { modelCard, type AdapterToWrite, type TensorToWrite } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { Parameter } from "@welltempered/nn";
import type { Adapter } from "@welltempered/peft";
import type { DType, Engine } from "@welltempered/tensor";

export const torchNames = { f32: "float32", bf16: "bfloat16", f16: "float16" } as const;
export type SavedDtype = keyof typeof torchNames;

export interface TrainedAdapter {
  engine: Engine;
  adapter: Adapter;
  config: RunConfig;
}

/** Hands over what the adapter's folder holds; its tensors may be read until `write` is done. */
export async function withAdapterFiles<T>(
  { engine, adapter, config }: TrainedAdapter,
  write: (files: AdapterToWrite) => Promise<T>,
): Promise<T> {
  const { library } = adapter;
  const { peftType } = adapter.config;
  const method = config.useDora ? "DoRA" : config.useRslora ? "rsLoRA" : peftType;
  const readme = modelCard({
    baseModel: config.modelNameOrPath,
    tags: ["welltempered", peftType.toLowerCase()],
    library,
    title: "Adapter",
    body: `An adapter (${method}) of ${config.modelNameOrPath}, trained on ${config.dataset.join(", ")} with welltempered.`,
  });
  const trained = new Set([...adapter.tensors()].map(([, parameter]) => parameter));
  const saved = adapter.fileTensors();
  const tensors = writtenTensors(engine, saved);
  try {
    return await write({ library, config: adapter.toJson(config.modelNameOrPath), tensors, readme });
  } finally {
    for (const [, parameter] of saved) if (!trained.has(parameter)) parameter.dispose();
  }
}

/** In bf16 what trains in it, the rest in f32. */
export const writtenTensors = (engine: Engine, parameters: Iterable<readonly [string, Parameter]>): TensorToWrite[] =>
  [...parameters].map(([name, parameter]) => toWrite(engine, name, parameter, heldIn(parameter)));

const heldIn = ({ tensor }: Parameter): "bf16" | "f32" => (tensor.dtype === "bf16" ? "bf16" : "f32");

export function toWrite(engine: Engine, name: string, parameter: Parameter, dtype: SavedDtype): TensorToWrite {
  return {
    name,
    dtype: dtype.toUpperCase() as TensorToWrite["dtype"],
    shape: [...parameter.shape],
    bytes: () => bytesOf(engine, parameter, dtype),
  };
}

/** Little-endian bytes in the dtype asked for; rounded to nearest even. */
async function bytesOf(engine: Engine, parameter: Parameter, dtype: DType): Promise<Uint8Array> {
  const { slot, dtype: own } = parameter.tensor;
  if (own === dtype) return engine.backend.read(slot);
  const converted = engine.backend.cast(slot, dtype);
  try {
    return await engine.backend.read(converted);
  } finally {
    engine.backend.free(converted);
  }
}
