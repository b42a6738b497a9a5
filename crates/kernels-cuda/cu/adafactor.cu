// Adafactor (Shazeer & Stern 2018) of one tensor p [height, width] with a given learning rate, moments in f64 inside. A
// vector has columns only. Nothing changes where skip[0] is set.
#include "common.cuh"

__device__ inline double decay_of(const float* step, double rate) { return 1.0 - pow((double)step[0] + 1.0, rate); }

// moment ← β · moment + (1 − β) · (scale² · Σg² / count + ε)
__device__ inline float average(float moment, double beta, double sum, double scale, double count, double epsilon) {
  double mean = scale * scale * sum / count + epsilon;
  return (float)((double)moment * beta + (1.0 - beta) * mean);
}

__device__ inline float inverse_root(double x) { return (float)(1.0 / sqrt(x)); }

// Partial Σ g² of 64 rows each: [blocks, width].
extern "C" __global__ void column_squares(const float* g, double* partial, u64 height, u64 width) {
  u64 column = (u64)blockIdx.x * blockDim.x + threadIdx.x, first = (u64)blockIdx.y * 64;
  if (column >= width) return;
  double total = 0.0;
  for (u64 row = first; row < first + 64 && row < height; row++) {
    double x = g[row * width + column];
    total += x * x;
  }
  partial[blockIdx.y * width + column] = total;
}

extern "C" __global__ void columns(
    const double* partial, u64 blocks, u64 height, u64 width, const float* step, const float* scale, const float* skip,
    double rate, double epsilon, float* moments) {
  u64 column = ELEMENT;
  if (column >= width || skip[0] != 0.0f) return;
  double total = 0.0;
  for (u64 i = 0; i < blocks; i++) total += partial[i * width + column];
  moments[column] = average(moments[column], decay_of(step, rate), total, scale[0], (double)height, epsilon);
}

// One block a row.
extern "C" __global__ void rows(
    const float* g, u64 width, const float* step, const float* scale, const float* skip, double rate, double epsilon,
    float* moments) {
  if (skip[0] != 0.0f) return;
  g += blockIdx.x * width;
  double total = 0.0;
  for (u64 j = threadIdx.x; j < width; j += blockDim.x) total += (double)g[j] * (double)g[j];
  total = block_sum(total);
  if (threadIdx.x == 0)
    moments[blockIdx.x] = average(moments[blockIdx.x], decay_of(step, rate), total, scale[0], (double)width, epsilon);
}

// Mean of n numbers by one block.
extern "C" __global__ void mean(const float* x, u64 n, double* y) {
  double total = 0.0;
  for (u64 i = threadIdx.x; i < n; i += blockDim.x) total += x[i];
  total = block_sum(total);
  if (threadIdx.x == 0) y[0] = total / (double)n;
}

__device__ inline float direction(
    const float* g, const float* row, const float* column, const double* mean, float scale, u64 width, u64 i) {
  float factor = row ? scale * inverse_root((double)row[i / width] / mean[0]) : scale;
  return factor * inverse_root((double)column[i % width]) * g[i];
}

// Partial Σ u² of 4,096 elements each.
extern "C" __global__ void update_squares(
    const float* g, const float* row, const float* column, const double* mean, const float* scale, u64 width, u64 n,
    double* partial) {
  u64 first = (u64)blockIdx.x * 4096;
  double total = 0.0;
  for (u64 i = first + threadIdx.x; i < first + 4096 && i < n; i += blockDim.x) {
    double u = direction(g, row, column, mean, scale[0], width, i);
    total += u * u;
  }
  total = block_sum(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

// size = lr / max(1, rms(u) / clip); one block.
extern "C" __global__ void step_size(const double* partial, u64 blocks, u64 n, double lr, double clip, float* size) {
  double total = 0.0;
  for (u64 i = threadIdx.x; i < blocks; i += blockDim.x) total += partial[i];
  total = block_sum(total);
  double ratio = sqrt(total / (double)n) / clip;
  if (threadIdx.x == 0) size[0] = (float)(lr / (ratio > 1.0 ? ratio : 1.0));
}

extern "C" __global__ void descend(
    float* p, const float* g, const float* row, const float* column, const double* mean, const float* scale,
    const float* skip, const float* size, float keep, u64 width, u64 n) {
  u64 i = ELEMENT;
  if (i >= n || skip[0] != 0.0f) return;
  p[i] = p[i] * keep - size[0] * direction(g, row, column, mean, scale[0], width, i);
}
