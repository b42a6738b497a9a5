// relu (0), silu (1), tanh (2)
#include "common.cuh"

extern "C" __global__ void activate(i32 kind, const float* x, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  float v = x[i];
  // Not fmaxf, which would hide a NaN.
  y[i] = kind == 0 ? (v <= 0.0f ? 0.0f : v) : kind == 1 ? v * sigmoid(v) : tanhf(v);
}

extern "C" __global__ void activate_backward(i32 kind, const float* g, const float* x, float* dx, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  float v = x[i], s = kind == 1 ? sigmoid(v) : tanhf(v);
  if (kind == 0) dx[i] = v <= 0.0f ? 0.0f : g[i];
  else dx[i] = kind == 1 ? g[i] * s * (1.0f + v * (1.0f - s)) : g[i] * (1.0f - s * s);
}
