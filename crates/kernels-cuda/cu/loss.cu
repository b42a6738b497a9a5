// Losses over a vocabulary, one block a row of logits [rows, vocab]. Rows labelled −100 count for nothing.
#include "common.cuh"

#define IGNORED (-100)

// log Σ eˣ of capped logits
__device__ inline float log_sum_exp(const float* logits, u64 vocab, float cap) {
  float slope, most = -__uint_as_float(0x7f800000u), total = 0.0f;
  for (u64 j = threadIdx.x; j < vocab; j += blockDim.x) most = Larger()(most, capped(logits[j], cap, &slope));
  most = block_max(most);
  for (u64 j = threadIdx.x; j < vocab; j += blockDim.x) total += expf(capped(logits[j], cap, &slope) - most);
  return most + logf(block_sum(total));
}

// losses = lse − logits[label]; where `gradient` is set logits become softmax − onehot, times the slope of the cap.
extern "C" __global__ void cross_entropy(
    float* logits, const i32* labels, u64 vocab, float cap, i32 gradient, float* losses) {
  logits += blockIdx.x * vocab;
  i32 label = labels[blockIdx.x];
  if (label == IGNORED) {
    if (threadIdx.x == 0) losses[blockIdx.x] = 0.0f;
    for (u64 j = threadIdx.x; gradient && j < vocab; j += blockDim.x) logits[j] = 0.0f;
    return;
  }
  float slope, lse = log_sum_exp(logits, vocab, cap);
  if (threadIdx.x == 0) losses[blockIdx.x] = lse - capped(logits[label], cap, &slope);
  __syncthreads();
  for (u64 j = threadIdx.x; gradient && j < vocab; j += blockDim.x) {
    float p = expf(capped(logits[j], cap, &slope) - lse);
    logits[j] = (p - (j == (u64)label ? 1.0f : 0.0f)) * slope;
  }
}

// logp = logits[label] − lse
extern "C" __global__ void log_prob(const float* logits, const i32* labels, u64 vocab, float cap, float* logp, float* lses) {
  logits += blockIdx.x * vocab;
  i32 label = labels[blockIdx.x];
  if (label == IGNORED) {
    if (threadIdx.x == 0) logp[blockIdx.x] = lses[blockIdx.x] = 0.0f;
    return;
  }
  float slope, lse = log_sum_exp(logits, vocab, cap);
  if (threadIdx.x != 0) return;
  lses[blockIdx.x] = lse;
  logp[blockIdx.x] = capped(logits[label], cap, &slope) - lse;
}

// dlogits = g · (onehot − softmax), times the slope of the cap
extern "C" __global__ void log_prob_backward(
    const float* g, float* logits, const i32* labels, const float* lses, u64 vocab, float cap) {
  logits += blockIdx.x * vocab;
  i32 label = labels[blockIdx.x];
  float lse = lses[blockIdx.x], factor = label == IGNORED ? 0.0f : g[blockIdx.x];
  for (u64 j = threadIdx.x; j < vocab; j += blockDim.x) {
    float slope, x = capped(logits[j], cap, &slope);
    float onehot = j == (u64)label ? factor : 0.0f;
    logits[j] = label == IGNORED ? 0.0f : (onehot - factor * expf(x - lse)) * slope;
  }
}
