// LLM.int8 (Dettmers et al. 2022) as bitsandbytes does it: crates/kernels/src/codec/llm_int8.rs.
#include "common.cuh"

// Columns of a [m, k] with a number of at least `threshold`.
extern "C" __global__ void outliers(const float* a, u64 m, u64 k, float threshold, u8* flags) {
  u64 column = ELEMENT;
  if (column >= k) return;
  u8 found = 0;
  for (u64 i = 0; i < m && threshold > 0.0f; i++) found |= fabsf(from_half(to_half(a[i * k + column]))) >= threshold;
  flags[column] = found;
}

// Codes of a row, and its largest magnitude below the threshold; one block a row.
extern "C" __global__ void quantize(const float* a, u64 k, float threshold, const u8* flags, i8* codes, float* scales) {
  a += blockIdx.x * k;
  codes += blockIdx.x * k;
  float most = 0.0f;
  for (u64 j = threadIdx.x; j < k; j += blockDim.x) {
    float x = fabsf(from_half(to_half(a[j])));
    if (!(threshold > 0.0f && x >= threshold)) most = Larger()(most, x);
  }
  most = block_reduce(most, 0.0f, Larger());
  float factor = 1.0f / most * 127.0f;
  for (u64 j = threadIdx.x; j < k; j += blockDim.x) {
    float code = rintf(from_half(to_half(a[j])) * factor);
    codes[j] = flags[j] || code != code ? 0 : (i8)(i32)fminf(fmaxf(code, -128.0f), 127.0f);
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = most;
}

#define TILE 16
#define DEPTH 64

// c [m, n] += alpha · (codes · codes, scaled, + the outlier columns as floats); blocks of 256 threads, 16 · 16 numbers of c.
extern "C" __global__ void linear_int8(
    const float* a, const i8* codes, const float* scales, const u8* flags, const i8* w, const float* w_scales,
    float alpha, u64 m, u64 n, u64 k, float* c) {
  __shared__ i8 left[TILE][DEPTH + 4], right[TILE][DEPTH + 4];
  u32 x = threadIdx.x % TILE, y = threadIdx.x / TILE;
  u64 row = (u64)blockIdx.y * TILE + y, column = (u64)blockIdx.x * TILE + x;
  i32 total = 0;
  for (u64 start = 0; start < k; start += DEPTH) {
    __syncthreads();
    for (u32 i = threadIdx.x; i < TILE * DEPTH; i += blockDim.x) {
      u64 at = start + i % DEPTH, other = i / DEPTH;
      u64 of_a = (u64)blockIdx.y * TILE + other, of_w = (u64)blockIdx.x * TILE + other;
      left[other][i % DEPTH] = of_a < m && at < k ? codes[of_a * k + at] : 0;
      right[other][i % DEPTH] = of_w < n && at < k ? w[of_w * k + at] : 0;
    }
    __syncthreads();
    for (u32 p = 0; p < DEPTH; p++) total += (i32)left[y][p] * (i32)right[x][p];
  }
  if (row >= m || column >= n) return;
  // 1/127², with the digits bitsandbytes has.
  float whole = (float)total * (scales[row] * w_scales[column]) * 6.200124e-5f, apart = 0.0f;
  float step = w_scales[column] * (1.0f / 127.0f);
  for (u64 p = 0; p < k; p++)
    if (flags[p]) apart += a[row * k + p] * ((float)w[column * k + p] * step);
  c[row * n + column] = c[row * n + column] + alpha * (whole + apart);
}
