// Weights in codecs → floats. Element i of the output is element i of the matrix, or of its rows `ids`. Layouts of bytes
// and formulas: crates/kernels/src/codec.
#include "common.cuh"

#define SOURCE (ids ? (u64)ids[i / columns] * columns + i % columns : i)

__device__ inline float half_at(const u8* bytes, u64 at) { return from_half((u16)(bytes[at] | bytes[at + 1] << 8)); }

__device__ inline float float_at(const u8* bytes, u64 i) {
  bytes += 4 * i;
  return __uint_as_float((u32)bytes[0] | (u32)bytes[1] << 8 | (u32)bytes[2] << 16 | (u32)bytes[3] << 24);
}

// bitsandbytes' 4-bit codes; `table` is that of the codec, `values` the dynamic 8-bit code of nested scales or null.
extern "C" __global__ void four_bit(
    const u8* bytes, u64 elements, u64 block, const float* table, const float* values, const i32* ids, u64 columns,
    void* y, i32 kind, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  u64 at = SOURCE, blocks = (elements + block - 1) / block, which = at / block;
  u8 pair = bytes[at / 2];
  const u8* scales = bytes + (elements + 1) / 2;
  float scale;
  if (values) {
    const u8* nested = scales + blocks;
    scale = values[scales[which]] * float_at(nested, which / 256) + float_at(nested, (blocks + 255) / 256);
  } else {
    scale = float_at(scales, which);
  }
  put(y, kind, i, table[at % 2 == 0 ? pair >> 4 : pair & 15] * scale);
}

// One code a byte and one scale a row: f16 (EETQ), or absmax in f32 of which a code is the 127th part (LLM.int8).
extern "C" __global__ void int8(
    const u8* bytes, u64 elements, i32 halves, const i32* ids, u64 columns, void* y, i32 kind, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  u64 at = SOURCE, row = at / columns;
  const u8* scales = bytes + elements;
  float scale = halves ? half_at(scales, 2 * row) : float_at(scales, row) * (1.0f / 127.0f);
  put(y, kind, i, (float)(i8)bytes[at] * scale);
}

__device__ inline u32 nibble(const u8* codes, u32 i) { return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4; }
__device__ inline u32 fifth(const u8* bits, u32 i) { return (u32)(bits[i / 8] >> (i % 8) & 1) << 4; }
__device__ inline u32 two_bits(const u8* codes, u32 run, u32 i) { return codes[run / 4 * 32 + i] >> 2 * (run % 4) & 3; }
__device__ inline u32 four_bits(const u8* codes, u32 run, u32 i) { return codes[run / 2 * 32 + i] >> 4 * (run % 2) & 15; }

// d · scale and dmin · min of a run.
__device__ inline void scale_and_min(const u8* b, u32 run, float* scale, float* least) {
  const u8* packed = b + 4;
  u32 s, m;
  if (run < 4) {
    s = packed[run] & 63;
    m = packed[4 + run] & 63;
  } else {
    u32 low = packed[4 + run];
    s = (low & 15) | (packed[run - 4] >> 2 & 0x30);
    m = low >> 4 | (packed[run] >> 2 & 0x30);
  }
  *scale = half_at(b, 0) * (float)s;
  *least = half_at(b, 2) * (float)m;
}

__device__ inline float q3_scale(const u8* b, u32 group) {
  const u8* scales = b + 96;
  u32 low = scales[group % 8] >> 4 * (group / 8) & 15, high = scales[8 + group % 4] >> 2 * (group / 4) & 3;
  return half_at(b, 108) * (float)((i32)(low | high << 4) - 32);
}

__constant__ const float IQ4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Weight i of run `run` of block b; kinds in the order of `Blocks::ALL`.
__device__ inline float gguf_weight(i32 codec, const u8* b, u32 run, u32 i) {
  float scale, least;
  switch (codec) {
    case 0: return half_at(b, 0) * (float)((i32)nibble(b + 2, i) - 8);
    case 1: return half_at(b, 0) * (float)nibble(b + 4, i) + half_at(b, 2);
    case 2: return half_at(b, 0) * (float)((i32)(nibble(b + 6, i) | fifth(b + 2, i)) - 16);
    case 3: return half_at(b, 0) * (float)(nibble(b + 8, i) | fifth(b + 4, i)) + half_at(b, 2);
    case 4: return half_at(b, 0) * (float)(i8)b[2 + i];
    case 5: return half_at(b, 0) * IQ4[nibble(b + 2, i)];
    case 6: {
      u32 packed = b[2 * run + i / 16];
      return half_at(b, 80) * (float)(packed & 15) * (float)two_bits(b + 16, run, i) - half_at(b, 82) * (float)(packed >> 4);
    }
    case 7: {
      u32 code = two_bits(b + 32, run, i) | (u32)(b[i] >> run & 1) << 2;
      return q3_scale(b, 2 * run + i / 16) * (float)((i32)code - 4);
    }
    case 8: scale_and_min(b, run, &scale, &least); return scale * (float)four_bits(b + 16, run, i) - least;
    case 9: {
      scale_and_min(b, run, &scale, &least);
      return scale * (float)(four_bits(b + 48, run, i) | (u32)(b[16 + i] >> run & 1) << 4) - least;
    }
    default: {
      u32 low = b[run / 4 * 64 + run % 2 * 32 + i] >> (run % 4 / 2 * 4) & 15;
      float part = half_at(b, 208) * (float)(i8)b[192 + 2 * run + i / 16];
      return part * (float)((i32)(low | two_bits(b + 128, run, i) << 4) - 32);
    }
  }
}

// GGUF blocks of `runs` · 32 weights in `size` bytes.
extern "C" __global__ void gguf(
    const u8* bytes, i32 codec, u32 runs, u32 size, const i32* ids, u64 columns, void* y, i32 kind, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  u64 at = SOURCE, run = at / 32;
  put(y, kind, i, gguf_weight(codec, bytes + run / runs * size, (u32)(run % runs), (u32)(at % 32)));
}
