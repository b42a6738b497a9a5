// Which weights of a base are quantised on load, and into what: as transformers does with a BitsAndBytesConfig.

import { blockCodecs, isFourBit, loadTensor, type WeightSource } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { isCodec, type FourBitCodec, type KernelBackend, type Shape, type Slot } from "@welltempered/kernels";
import type { CausalLM } from "@welltempered/nn";

/** Weights a block, fixed in transformers. */
const block = 64;

/** `quantization_*` as a codec; undefined where weights stay as they are stored. */
export function codecOf(config: RunConfig): FourBitCodec | undefined {
  if (config.quantizationBit === undefined) return undefined;
  return `${config.quantizationType}/${block}${config.doubleQuantization ? "/double" : ""}`;
}

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
