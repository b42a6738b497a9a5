// safetensors files as the reference crate writes them, streamed: one tensor in memory at a time.
import { join } from "node:path";
import { safetensorsByteSize, writeJson } from "@welltempered/formats";
import { replaceFile, writeAll, writeFileAtomic } from "./atomic-file.ts";
import { makeFolder } from "./io.ts";
import { checkNames, ptMetadata, safetensorsParts, type TensorToWrite } from "./safetensors-parts.ts";

/** Writes one file, whole or not at all. */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = ptMetadata,
): Promise<void> {
  const parts = safetensorsParts(tensors, metadata);
  await replaceFile(path, async (handle) => {
    let at = 0;
    for await (const part of parts) at = await writeAll(handle, part, at);
  });
}

/**
 * Writes the weights of a model into `folder`: model.safetensors, or shards of at most `maxShardBytes` with an index, in
 * the way of huggingface_hub's split_state_dict_into_shards. The index comes last. Returns the names of the files.
 */
export async function writeModelWeights(
  folder: string,
  tensors: readonly TensorToWrite[],
  maxShardBytes: number,
): Promise<string[]> {
  await makeFolder(folder);
  checkNames(tensors);
  const shards = splitIntoShards(tensors, maxShardBytes);
  if (shards.length === 1) {
    await writeSafetensors(join(folder, "model.safetensors"), tensors);
    return ["model.safetensors"];
  }
  const names = shards.map((_, i) => `model-${count(i + 1)}-of-${count(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) await writeSafetensors(join(folder, names[i] ?? ""), shard);
  const weightMap = new Map(shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]] as const)));
  const index = {
    metadata: { total_parameters: sum(tensors, elements), total_size: sum(tensors, size) },
    weight_map: weightMap,
  };
  const indexName = "model.safetensors.index.json";
  await writeFileAtomic(join(folder, indexName), `${writeJson(index, { indent: 2, sortKeys: true, python: true })}\n`);
  return [...names, indexName];
}

function count(value: number): string {
  return String(value).padStart(5, "0");
}

function size({ dtype, shape }: TensorToWrite): number {
  return safetensorsByteSize(dtype, shape);
}

function elements({ shape }: TensorToWrite): number {
  return shape.reduce((product, length) => product * length, 1);
}

function sum(tensors: readonly TensorToWrite[], measure: (tensor: TensorToWrite) => number): number {
  return tensors.reduce((total, tensor) => total + measure(tensor), 0);
}

/** In order; a tensor larger than the limit gets a shard of its own. */
function splitIntoShards(tensors: readonly TensorToWrite[], maxBytes: number): TensorToWrite[][] {
  const shards: TensorToWrite[][] = [];
  let current: TensorToWrite[] = [];
  let used = 0;
  for (const tensor of tensors) {
    const bytes = size(tensor);
    if (bytes > maxBytes) {
      shards.push([tensor]);
      continue;
    }
    if (used + bytes > maxBytes) {
      shards.push(current);
      current = [];
      used = 0;
    }
    current.push(tensor);
    used += bytes;
  }
  if (current.length > 0 || shards.length === 0) shards.push(current);
  return shards;
}
