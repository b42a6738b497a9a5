// Philox4x32-10 (Salmon et al. 2011), the stream of crates/kernels/src/rng.rs; one thread a block of four numbers.
#include "common.cuh"

struct Words {
  u32 w[4];
};

__device__ inline Words philox(u32 key0, u32 key1, u64 block, u32 rank, u32 step, u32 micro) {
  Words c = {{(u32)block, ((u32)(block >> 32) & 0xffffu) | rank << 16, step, micro}};
  for (i32 round = 0; round < 10; round++) {
    u64 first = (u64)0xD2511F53u * c.w[0], second = (u64)0xCD9E8D57u * c.w[2];
    Words next = {{(u32)(second >> 32) ^ c.w[1] ^ key0, (u32)second, (u32)(first >> 32) ^ c.w[3] ^ key1, (u32)first}};
    c = next;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

#define KEY u32 key0, u32 key1, u32 rank, u32 step, u32 micro
#define DRAW philox(key0, key1, block, rank, step, micro)

// y = x · factor where the 24 high bits of the element's word reach the threshold, else 0.
extern "C" __global__ void dropout(const float* x, u32 threshold, float factor, KEY, float* y, u64 n) {
  u64 block = ELEMENT;
  if (4 * block >= n) return;
  Words words = DRAW;
  for (u64 i = 4 * block; i < 4 * block + 4 && i < n; i++) y[i] = words.w[i % 4] >> 8 >= threshold ? x[i] * factor : 0.0f;
}

extern "C" __global__ void uniform(double low, double high, float first, float last, KEY, float* y, u64 n) {
  u64 block = ELEMENT;
  if (4 * block >= n) return;
  Words words = DRAW;
  for (u64 i = 4 * block; i < 4 * block + 4 && i < n; i++) {
    double unit = (double)(words.w[i % 4] >> 8) * (1.0 / 16777216.0);
    float value = (float)(low + (high - low) * unit);
    y[i] = value < first ? first : value > last ? last : value;
  }
}

// Box–Muller on pairs of words, in f64.
extern "C" __global__ void normal(double mean, double deviation, KEY, float* y, u64 n) {
  u64 block = ELEMENT;
  if (4 * block >= n) return;
  Words words = DRAW;
  for (u64 i = 4 * block; i < 4 * block + 4 && i < n; i++) {
    u32 pair = (u32)(i % 4) / 2 * 2;
    double radius = sqrt(-2.0 * log(((double)(words.w[pair] >> 8) + 1.0) / 16777216.0));
    double angle = 6.283185307179586477 * (double)(words.w[pair + 1] >> 8) / 16777216.0;
    y[i] = (float)(mean + deviation * (radius * (i % 2 == 0 ? cos(angle) : sin(angle))));
  }
}
