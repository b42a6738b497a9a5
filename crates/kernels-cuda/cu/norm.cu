#include "common.cuh"

// One block for each stretch of d numbers: y = x · rstd · w, rstd = 1/√(mean(x²) + ε)
extern "C" __global__ void rms_norm(const float* x, const float* w, float epsilon, float* y, float* rstd, u64 d) {
  u64 row = blockIdx.x;
  x += row * d;
  y += row * d;
  float total = 0.0f;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) total += x[j] * x[j];
  float r = 1.0f / sqrtf(block_sum(total) / (float)d + epsilon);
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) y[j] = x[j] * r * w[j];
  if (threadIdx.x == 0) rstd[row] = r;
}

// x̂ = x · rstd:  dx = rstd · (g·w − x̂ · mean(g·w·x̂))
extern "C" __global__ void rms_norm_backward(
    const float* g, const float* x, const float* w, const float* rstd, float* dx, u64 d) {
  u64 row = blockIdx.x;
  g += row * d;
  x += row * d;
  dx += row * d;
  float r = rstd[row], total = 0.0f;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) total += g[j] * w[j] * x[j] * r;
  float mean = block_sum(total) / (float)d;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) dx[j] = r * (g[j] * w[j] - x[j] * r * mean);
}

// acc += x in place, then as rms_norm of acc: each thread reads again what it wrote itself.
extern "C" __global__ void add_rms_norm(
    float* acc, const float* x, const float* w, float epsilon, float* y, float* rstd, u64 d) {
  u64 row = blockIdx.x;
  acc += row * d;
  x += row * d;
  y += row * d;
  float total = 0.0f;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) {
    float sum = acc[j] + x[j];
    acc[j] = sum;
    total += sum * sum;
  }
  float r = 1.0f / sqrtf(block_sum(total) / (float)d + epsilon);
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) y[j] = acc[j] * r * w[j];
  if (threadIdx.x == 0) rstd[row] = r;
}

// acc += dx of rms_norm_backward, in place
extern "C" __global__ void add_rms_norm_backward(
    float* acc, const float* g, const float* x, const float* w, const float* rstd, u64 d) {
  u64 row = blockIdx.x;
  acc += row * d;
  g += row * d;
  x += row * d;
  float r = rstd[row], total = 0.0f;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) total += g[j] * w[j] * x[j] * r;
  float mean = block_sum(total) / (float)d;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) acc[j] += r * (g[j] * w[j] - x[j] * r * mean);
}

// Partial Σ g·x̂ of 64 stretches each, which `sum_rows` adds up: dw [blocks, d].
extern "C" __global__ void rms_norm_weight(const float* g, const float* x, const float* rstd, float* dw, u64 rows, u64 d) {
  u64 j = (u64)blockIdx.x * blockDim.x + threadIdx.x, first = (u64)blockIdx.y * 64;
  if (j >= d) return;
  float total = 0.0f;
  for (u64 row = first; row < first + 64 && row < rows; row++) total += g[row * d + j] * x[row * d + j] * rstd[row];
  dw[blockIdx.y * d + j] = total;
}
