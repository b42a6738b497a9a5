// Which weights of a base are quantised on load, and into what: as transformers does.

import { blockCodecs, isBitsandbytes, loadTensor, type Scratch, type WeightSource } from "@welltempered/checkpoint";
import type { QuantizationMethod, RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import {
  isCodec,
  type BitsandbytesCodec,
  type Codec,
  type KernelBackend,
  type Shape,
  type Slot,
} from "@welltempered/kernels";
import type { CausalLM } from "@welltempered/nn";
import { cast } from "@welltempered/tensor";

/** Weights a block, fixed in transformers. */
const block = 64;

/** `quantization_method` → the codec that its settings mean. */
const codecs: Readonly<Record<QuantizationMethod, (config: RunConfig) => Codec>> = {
  bnb: (config) =>
    config.quantizationBit === 8
      ? `llm_int8/${config.llmInt8Threshold}`
      : `${config.quantizationType}/${block}${config.doubleQuantization ? "/double" : ""}`,
  eetq: () => "eetq",
};

/** `quantization_*` as a codec; undefined where weights stay as they are stored. */
export const codecOf = (config: RunConfig): Codec | undefined =>
  config.quantizationBit === undefined ? undefined : codecs[config.quantizationMethod](config);

/** @throws {UserError} where the base is in blocks already and is to be quantised, or trained in bitsandbytes' codes */
export function checkQuantizable(config: RunConfig, weights: WeightSource, key = "quantization_bit"): void {
  const dtypes = weights.names().map((name) => weights.info(name).dtype);
  const codes = dtypes.find(isBitsandbytes);
  const coded = codes ?? blockCodecs.find((codec) => dtypes.includes(codec));
  if (config.quantizationBit !== undefined && coded !== undefined)
    throw new UserError(`${key}: the model is in ${coded} already and stays so; leave it out`);
  if (codes !== undefined && config.doTrain && ["full", "freeze"].includes(config.finetuningType))
    throw new UserError(
      `finetuning_type: the weights are in ${codes}, which cannot be trained; use finetuning_type: lora`,
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
  scratch?: Scratch,
): Slot {
  const slot = loadTensor(backend, source, name, scratch);
  if (codec === undefined || !isQuantized(name, shape)) return slot;
  try {
    return backend.cast(slot, codec);
  } finally {
    backend.free(slot);
  }
}

/** A merge says when it had to leave the codec, for which `again` stands where the result is put into it. */
export function tellDequantized(count: number, emit: Emit, again?: BitsandbytesCodec): void {
  if (count === 0) return;
  const end = again === undefined ? "the model is quantised no more" : `they are quantised again, in ${again}`;
  const message = `${count} quantised weights became f32 for the adapter to be merged; ${end}`;
  emit({ type: "notice", level: "warning", message });
}

/**
 * What `export_quantized` writes weights in: the codes asked for, or those that the model is in.
 * @throws {UserError} where there are neither
 */
export function exportCodec(config: RunConfig, weights: WeightSource): BitsandbytesCodec | undefined {
  if (!config.exportQuantized) return undefined;
  const stored = weights.names().map((name) => weights.info(name).dtype);
  const codec = [codecOf(config) ?? stored].flat().find((type) => isBitsandbytes(type));
  if (codec !== undefined) return codec;
  throw new UserError("export_quantized: the model is not in codes of bitsandbytes; set quantization_bit");
}

/** Puts what a merge has left in f32 into codes again. */
export function quantizeAgain(model: CausalLM, codec: BitsandbytesCodec): void {
  for (const [name, parameter] of model.namedParameters()) {
    const { engine, dtype } = parameter.tensor;
    if (!isCodec(dtype) && isQuantized(name, parameter.shape))
      engine.noGrad(() => engine.scope(() => parameter.replace(cast(parameter.tensor, codec))));
  }
}

/** An export is written in a float dtype, whatever the weights are held in, unless codes are asked for. */
export function tellExpanded(model: CausalLM, dtype: string, emit: Emit): void {
  const codecs = [...model.namedParameters()].map(([, { tensor }]) => tensor.dtype).filter(isCodec);
  const hint = codecs.some(isBitsandbytes) ? "; export_quantized: true keeps bitsandbytes' codes" : "";
  if (codecs.length > 0)
    emit({
      type: "notice",
      level: "warning",
      message: `${codecs.length} quantised weights are written as ${dtype}${hint}`,
    });
}
