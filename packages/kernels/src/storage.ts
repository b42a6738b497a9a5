import type { Codec, DType, GgufCodec, Shape, StorageType } from "./backend.ts";

/** Bytes of an element. */
const plain: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, f16: 2, f64: 8, i32: 4, i8: 1, u8: 1 };

/** Weights and bytes of a block. */
const blocks: Readonly<Record<GgufCodec, readonly [weights: number, bytes: number]>> = {
  q4_0: [32, 18],
  q4_1: [32, 20],
  q5_0: [32, 22],
  q5_1: [32, 24],
  q8_0: [32, 34],
  iq4_nl: [32, 18],
  q2_k: [256, 84],
  q3_k: [256, 110],
  q4_k: [256, 144],
  q5_k: [256, 176],
  q6_k: [256, 210],
};

/** GGUF's block types. */
export const ggufCodecs = Object.keys(blocks) as readonly GgufCodec[];

/** Absolute maxima that share a scale where they are quantised too. */
const NESTED = 256;

/** Whether a weight is in blocks of a few bits, not in elements. */
export const isCodec = (type: StorageType): type is Codec => !isPlain(type);

const isPlain = (type: StorageType): type is DType => Object.hasOwn(plain, type);
const isGguf = (type: Codec): type is GgufCodec => Object.hasOwn(blocks, type);

/** Bytes of a tensor. */
export function bytesOf(type: StorageType, shape: Shape): number {
  const elements = shape.reduce((product, extent) => product * extent, 1);
  if (isPlain(type)) return elements * plain[type];
  if (isGguf(type)) {
    const [weights, bytes] = blocks[type];
    return (elements / weights) * bytes;
  }
  const rows = shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
  if (type === "eetq") return elements + 2 * rows;
  const [name, size, double] = type.split("/");
  if (name === "llm_int8") return elements + 4 * rows;
  const count = Math.ceil(elements / Number(size));
  const scales = double === undefined ? 4 * count : count + 4 * (Math.ceil(count / NESTED) + 1);
  return Math.ceil(elements / 2) + scales;
}
