// Which weights of a base are quantised on load, and into what: as transformers does.

import { blockCodecs, isFourBit, loadTensor, type WeightSource } from "@welltempered/checkpoint";
import type { QuantizationMethod, RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { ggmlTypes, UserError } from "@welltempered/formats";
import { isCodec, type Codec, type KernelBackend, type Shape, type Slot } from "@welltempered/kernels";
import type { CausalLM } from "@welltempered/nn";

/** Weights a block, fixed in transformers. */
const block = 64;

/** `quantization_method` → the codec that its settings mean. */
const codecs: Readonly<Record<QuantizationMethod, (config: RunConfig) => Codec>> = {
  bnb: (config) => `${config.quantizationType}/${block}${config.doubleQuantization ? "/double" : ""}`,
  eetq: () => "eetq",
};

/** `quantization_*` as a codec; undefined where weights stay as they are stored. */
export const codecOf = (config: RunConfig): Codec | undefined =>
  config.quantizationBit === undefined ? undefined : codecs[config.quantizationMethod](config);

/** @throws {UserError} where the base is in blocks already and is to be quantised, or trained in bitsandbytes' codes */
export function checkQuantizable(config: RunConfig, weights: WeightSource, key = "quantization_bit"): void {
  const dtypes = weights.names().map((name) => weights.info(name).dtype);
  const fourBit = dtypes.find(isFourBit);
  const coded = fourBit ?? blockCodecs.find((codec) => dtypes.includes(codec));
  if (config.quantizationBit !== undefined && coded !== undefined)
    throw new UserError(`${key}: the model is in ${coded} already and stays so; leave it out`);
  if (fourBit !== undefined && config.doTrain && ["full", "freeze"].includes(config.finetuningType))
    throw new UserError(
      `finetuning_type: the weights are in ${fourBit}, which cannot be trained; use finetuning_type: lora`,
    );
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
  codec: Codec | undefined,
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

/** Bytes that weights take while they are frozen, `bits` each where they are quantised; the scales are left out. */
export function heldBytes(shapes: ReadonlyMap<string, Shape>, source: WeightSource, bits: number | undefined): number {
  const bytes = (name: string, shape: Shape): number => {
    if (bits !== undefined && isQuantized(name, shape)) return bits / 8;
    if (!source.has(name)) return 4;
    const { dtype } = source.info(name);
    return isFourBit(dtype) ? 0.5 : (bytesPerWeight.get(dtype) ?? 4);
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

/** An export is written in a float dtype, whatever the weights are held in. */
export function tellExpanded(model: CausalLM, dtype: string, emit: Emit): void {
  const count = [...model.namedParameters()].filter(([, { tensor }]) => isCodec(tensor.dtype)).length;
  if (count > 0)
    emit({ type: "notice", level: "warning", message: `${count} quantised weights are written as ${dtype}` });
}
