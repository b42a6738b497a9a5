// Gated units y = f(gate) · up whose f is f(x) = x · σ(z(x)): z is x itself for silu (kind 0), and
// 2·√(2/π)·(x + 0.044715·x³) for the tanh form of gelu (kind 1; Hendrycks & Gimpel 2016).
#include "common.cuh"

__device__ inline float bend(i32 kind, float x, float* slope) {
  *slope = 1.0f;
  if (kind == 0) return x;
  const float factor = 1.59576912160573071f, cubic = 0.044715f;
  *slope = factor * (1.0f + 3.0f * cubic * x * x);
  return factor * (x + cubic * x * x * x);
}

extern "C" __global__ void gated(i32 kind, const float* gate, const float* up, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  float slope;
  y[i] = gate[i] * sigmoid(bend(kind, gate[i], &slope)) * up[i];
}

// dgate = g · up · σ·(1 + gate·(1 − σ)·z'),  dup = g · gate · σ
extern "C" __global__ void gated_backward(
    i32 kind, const float* g, const float* gate, const float* up, float* dgate, float* dup, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  float slope, s = sigmoid(bend(kind, gate[i], &slope));
  dgate[i] = g[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s) * slope);
  dup[i] = g[i] * gate[i] * s;
}
