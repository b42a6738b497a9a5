import type { Codec, DType, StorageType } from "./backend.ts";

const plain: Readonly<Record<DType, true>> = {
  f32: true,
  bf16: true,
  f16: true,
  f64: true,
  i32: true,
  i8: true,
  u8: true,
};

/** Whether a weight is in blocks of a few bits, not in elements. */
export const isCodec = (type: StorageType): type is Codec => !Object.hasOwn(plain, type);
