// Which weights of a base are quantised on load, and into what: as transformers does with a BitsAndBytesConfig.

import { blockCodecs, loadTensor, type WeightSource } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { ggmlTypes, UserError } from "@welltempered/formats";
import type { FourBitCodec, KernelBackend, Shape, Slot } from "@welltempered/kernels";

/** Weights a block, fixed in transformers. */
const block = 64;

/** `quantization_*` as a codec; undefined where weights stay as they are stored. */
export function codecOf(config: RunConfig): FourBitCodec | undefined {
  if (config.quantizationBit === undefined) return undefined;
  return `${config.quantizationType}/${block}${config.doubleQuantization ? "/double" : ""}`;
}

/** @throws {UserError} where the base is in blocks already */
export function checkQuantizable(codec: FourBitCodec | undefined, weights: WeightSource): void {
  const isCoded = (name: string): boolean => blockCodecs.some((known) => known === weights.info(name).dtype);
  if (codec !== undefined && weights.names().some(isCoded))
    throw new UserError("quantization_bit: the model is quantised already and stays in its blocks; leave it out");
}

/** Every linear layer but the head. */
const isQuantized = (name: string, shape: Shape): boolean =>
  shape.length === 2 && !/(^|\.)(embed_tokens|lm_head)\.weight$/.test(name);

/** One weight in memory, in the codec where it is one that is quantised. The caller owns the slot. */
export function loadWeight(
  backend: KernelBackend,
  source: WeightSource,
  name: string,
  shape: Shape,
  codec: FourBitCodec | undefined,
): Slot {
  const slot = loadTensor(backend, source, name);
  if (codec === undefined || !isQuantized(name, shape)) return slot;
  try {
    return backend.cast(slot, codec);
  } finally {
    backend.free(slot);
  }
}

const bytesPerWeight: ReadonlyMap<string, number> = new Map(
  [...ggmlTypes.values()].map(({ name, block: weights, bytes }) => [name, bytes / weights]),
);

/** Bytes that weights take while they are frozen; the scales of a codec are left out. */
export function heldBytes(
  shapes: ReadonlyMap<string, Shape>,
  source: WeightSource,
  codec: FourBitCodec | undefined,
): number {
  const bytes = (name: string, shape: Shape): number => {
    if (codec !== undefined && isQuantized(name, shape)) return 0.5;
    return source.has(name) ? (bytesPerWeight.get(source.info(name).dtype) ?? 4) : 4;
  };
  const weights = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);
  return [...shapes].reduce((sum, [name, shape]) => sum + weights(shape) * bytes(name, shape), 0);
}

/** A merge says when it had to leave the codec. */
export function tellDequantized(count: number, emit: Emit): void {
  if (count === 0) return;
  const message = `${count} quantised weights became f32 for the adapter to be merged; the model is quantised no more`;
  emit({ type: "notice", level: "warning", message });
}
