// A safetensors file as the reference crate writes it, part by part: the header, then one tensor in memory at a time.
import { layoutSafetensors, nameList, safetensorsByteSize, type SafetensorsSpec } from "@welltempered/formats";
import { CheckpointError } from "./errors.ts";

export interface TensorToWrite extends SafetensorsSpec {
  /** Little-endian, row-major; a function is called when the tensor's turn comes. */
  bytes: Uint8Array | (() => Promise<Uint8Array>);
}

/** What transformers and peft put into the header. */
export const ptMetadata = { format: "pt" };

/** The parts of a file, in order. Throws a CheckpointError before the first for a name that is given twice. */
export function safetensorsParts(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = ptMetadata,
): AsyncGenerator<Uint8Array> {
  checkNames(tensors);
  const { header, order } = layoutSafetensors(tensors, metadata);
  return partsOf(header, order);
}

async function* partsOf(header: Uint8Array, order: readonly TensorToWrite[]): AsyncGenerator<Uint8Array> {
  yield header;
  for (const tensor of order) yield await bytesOf(tensor);
}

/** The whole file in memory. */
export async function safetensorsBytes(tensors: readonly TensorToWrite[]): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of safetensorsParts(tensors)) parts.push(part);
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => {
    whole.set(part, at);
    return at + part.length;
  }, 0);
  return whole;
}

/** @throws {CheckpointError} */
export function checkNames(tensors: readonly TensorToWrite[]): void {
  const names = tensors.map(({ name }) => name);
  if (new Set(names).size === names.length) return;
  const twice = names.filter((name, at) => names.indexOf(name) !== at);
  throw new CheckpointError("DUPLICATE_NAME", `tensors are given twice: ${nameList(twice)}`, "write each once");
}

async function bytesOf({ name, dtype, shape, bytes }: TensorToWrite): Promise<Uint8Array> {
  const content = typeof bytes === "function" ? await bytes() : bytes;
  const size = safetensorsByteSize(dtype, shape);
  if (content.length === size) return content;
  throw new CheckpointError(
    "WRONG_BYTES",
    `tensor ${nameList([name])}: ${content.length} bytes for ${dtype} [${shape.join(", ")}], which takes ${size}`,
    "give the bytes of that dtype and shape",
  );
}
