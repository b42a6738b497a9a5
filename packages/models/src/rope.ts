// Rotary frequencies: one per channel pair, in radians a position. Names and formulas of transformers'
// modeling_rope_utils (default, linear, dynamic, llama3, longrope), computed in f64.

import { ModelConfigError } from "./errors.ts";
import { integerField, numberField, numbersField, recordField, show, type ConfigRecord } from "./fields.ts";

export type RopeConfig =
  | { type: "default"; theta: number }
  | { type: "linear"; theta: number; factor: number }
  | { type: "dynamic"; theta: number; factor: number; trainedLength: number }
  | { type: "llama3"; theta: number; factor: number; lowFactor: number; highFactor: number; trainedLength: number }
  | LongRope;

/** LongRoPE (Ding et al. 2024): each frequency has a divisor of its own, another one behind the trained length. */
interface LongRope {
  type: "longrope";
  theta: number;
  shortFactors: readonly number[];
  longFactors: readonly number[];
  trainedLength: number;
  /** Multiplies cos and sin, so that scores grow by its square. */
  attentionFactor: number;
}

/** Reads `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` (before). */
export function readRope(config: ConfigRecord): RopeConfig {
  const parameters = recordField(config, "rope_parameters") ?? recordField(config, "rope_scaling") ?? {};
  const theta = numberField({ rope_theta: parameters["rope_theta"] ?? config["rope_theta"] }, "rope_theta", 10_000);
  const type = String(parameters["rope_type"] ?? parameters["type"] ?? "default");
  const longest = integerField(config, "max_position_embeddings", 2048, 2 ** 32);
  switch (type) {
    case "default":
      return { type, theta };
    case "linear":
      return { type, theta, factor: numberField(parameters, "factor") };
    case "dynamic":
      return { type, theta, factor: numberField(parameters, "factor"), trainedLength: longest };
    case "llama3":
      return {
        type,
        theta,
        factor: numberField(parameters, "factor"),
        lowFactor: numberField(parameters, "low_freq_factor"),
        highFactor: numberField(parameters, "high_freq_factor"),
        trainedLength: integerField(parameters, "original_max_position_embeddings", longest, 2 ** 32),
      };
    case "longrope":
      return { type, theta, ...readLongRope(config, parameters, longest) };
    default:
      throw new ModelConfigError(
        "rope_scaling",
        `has type ${show(type)}; supported are default, linear, dynamic, llama3 and longrope`,
      );
  }
}

/** The trained length beside `rope_parameters` counts for more than the one in them, as in transformers. */
function readLongRope(
  config: ConfigRecord,
  parameters: ConfigRecord,
  longest: number,
): Omit<LongRope, "type" | "theta"> {
  const key = "original_max_position_embeddings";
  const trainedLength = integerField({ [key]: config[key] ?? parameters[key] }, key, longest, 2 ** 32, 2);
  const stretch = numberField(parameters, "factor", longest / trainedLength);
  const factor = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(trainedLength));
  return {
    shortFactors: numbersField(parameters, "short_factor"),
    longFactors: numbersField(parameters, "long_factor"),
    trainedLength,
    attentionFactor: numberField(parameters, "attention_factor", factor),
  };
}

/** @throws {ModelConfigError} where factors do not fit heads of which `dim` channels turn */
export function checkRope(rope: RopeConfig, dim: number): void {
  if (rope.type !== "longrope") return;
  for (const [key, { length }] of [
    ["short_factor", rope.shortFactors],
    ["long_factor", rope.longFactors],
  ] as const)
    if (length !== dim / 2) throw new ModelConfigError(key, `has ${length} numbers; it must have ${dim / 2}`);
}

/** What cos and sin are multiplied by. */
export const ropeAmplitude = (rope: RopeConfig): number => (rope.type === "longrope" ? rope.attentionFactor : 1);

/** Sequences up to this length and longer ones turn differently; a cache holds keys of one side. */
export const ropeBorder = (rope: RopeConfig): number => (rope.type === "longrope" ? rope.trainedLength : Infinity);

/** theta^(−2i/dim) for i = 0 … dim/2 − 1. */
function plain(theta: number, dim: number): Float64Array {
  return Float64Array.from({ length: dim / 2 }, (_, index) => theta ** ((-2 * index) / dim));
}

/** Frequencies for heads of size `dim`, in a batch whose longest sequence has `length` tokens. */
export function ropeFrequencies(rope: RopeConfig, dim: number, length: number): Float64Array {
  switch (rope.type) {
    case "default":
      return plain(rope.theta, dim);
    case "linear":
      return plain(rope.theta, dim).map((frequency) => frequency / rope.factor);
    case "dynamic":
      return plain(stretchedTheta(rope, dim, length), dim);
    case "llama3":
      return plain(rope.theta, dim).map((frequency) => llama3Frequency(rope, frequency));
    case "longrope": {
      const factors = length > rope.trainedLength ? rope.longFactors : rope.shortFactors;
      return plain(rope.theta, dim).map((frequency, index) => frequency / (factors[index] ?? 1));
    }
    default:
      return rope satisfies never;
  }
}

/** NTK-aware base: unchanged up to the trained length, then growing with the sequence. */
function stretchedTheta(
  { theta, factor, trainedLength }: Extract<RopeConfig, { type: "dynamic" }>,
  dim: number,
  length: number,
): number {
  if (length <= trainedLength) return theta;
  return theta * ((factor * length) / trainedLength - (factor - 1)) ** (dim / (dim - 2));
}

/** Long waves are divided by the factor, short ones kept, those between blended. */
function llama3Frequency(rope: Extract<RopeConfig, { type: "llama3" }>, frequency: number): number {
  const { factor, lowFactor, highFactor, trainedLength } = rope;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > trainedLength / lowFactor) return frequency / factor;
  if (wavelength < trainedLength / highFactor) return frequency;
  const smooth = (trainedLength / wavelength - lowFactor) / (highFactor - lowFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
