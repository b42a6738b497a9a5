// Optimizer steps over all tensors of a group in one launch, in torch's order of operations: compiled without contraction.
// A block of 256 threads takes one piece of CHUNK elements; `pieces` says of which tensor and which. Control lies on the
// device: nothing changes where skip[0] is set.
#include "common.cuh"

#define CHUNK 8192

// Addresses of a tensor's parts: parameter, gradient, then the states in the order of the op.
struct Item {
  u64 parts[6];
  u64 length;
};

struct Piece {
  u32 item, chunk;
};

#define PLAN const Item* items, const Piece* pieces, const float* step, const float* scale, const float* skip
#define PART(type, which) ((type*)item.parts[which])
// Of a parameter or a state that is F32 or BF16: read as f32, rounded once when it is written.
#define READ(which) element(PART(void, which), kind, i)
#define WRITE(which, value) put(PART(void, which), kind, i, value)
#define BEGIN                                        \
  if (skip[0] != 0.0f) return;                       \
  Item item = items[pieces[blockIdx.x].item];        \
  u64 first = (u64)pieces[blockIdx.x].chunk * CHUNK; \
  u64 end = first + CHUNK < item.length ? first + CHUNK : item.length;
#define EACH for (u64 i = first + threadIdx.x; i < end; i += blockDim.x)

// Of the update with number step[0] + 1: lr/(1 − β₁ᵗ) and √(1 − β₂ᵗ).
__device__ inline void corrections(const float* step, double lr, double beta1, double beta2, float* size, float* root) {
  __shared__ float both[2];
  if (threadIdx.x == 0) {
    double t = (double)step[0] + 1.0;
    both[0] = (float)(lr / (1.0 - pow(beta1, t)));
    both[1] = (float)sqrt(1.0 - pow(beta2, t));
  }
  __syncthreads();
  *size = both[0];
  *root = both[1];
}

// AdamW (Loshchilov & Hutter 2019)
extern "C" __global__ void adamw(
    PLAN, double lr, double beta1, double beta2, double epsilon, double decay, i32 kind) {
  BEGIN
  float size, root, keep = (float)(1.0 - lr * decay), fresh1 = (float)(1.0 - beta1), kept2 = (float)beta2,
                    fresh2 = (float)(1.0 - beta2);
  corrections(step, lr, beta1, beta2, &size, &root);
  EACH {
    float g = PART(float, 1)[i] * scale[0], p = READ(0) * keep, m = READ(2), v = READ(3);
    m = m + fresh1 * (g - m);
    v = v * kept2 + fresh2 * g * g;
    WRITE(0, p - size * m / (sqrtf(v) / root + (float)epsilon));
    WRITE(2, m);
    WRITE(3, v);
  }
}

// torch.optim.SGD; `buffers` says whether there is momentum
extern "C" __global__ void sgd(PLAN, float lr, float momentum, i32 buffers, i32 nesterov, float decay, i32 kind) {
  BEGIN
  EACH {
    float p = READ(0), g = PART(float, 1)[i] * scale[0] + decay * p;
    if (buffers) {
      float b = step[0] == 0.0f ? g : momentum * READ(2) + g;
      WRITE(2, b);
      g = nesterov ? g + momentum * b : b;
    }
    WRITE(0, p - lr * g);
  }
}

// Lion (Chen et al. 2023)
extern "C" __global__ void lion(PLAN, double lr, double beta1, double beta2, double decay, i32 kind) {
  BEGIN
  float keep = (float)(1.0 - lr * decay), kept1 = (float)beta1, fresh1 = (float)(1.0 - beta1), kept2 = (float)beta2,
        fresh2 = (float)(1.0 - beta2);
  EACH {
    float g = PART(float, 1)[i] * scale[0], m = READ(2), direction = m * kept1 + fresh1 * g;
    float sign = direction > 0.0f ? 1.0f : direction < 0.0f ? -1.0f : direction;
    WRITE(0, READ(0) * keep - (float)lr * sign);
    WRITE(2, m * kept2 + fresh2 * g);
  }
}

// The code of x in [−1, 1]: bitsandbytes' grid, `nearest` of 2¹⁶ steps.
__device__ inline u8 code_of(float x, const u8* nearest) {
  float at = (x + 1.0f) * 0.5f * 65535.0f + 0.5f;
  u32 step = at > 0.0f ? (u32)at : 0;
  return nearest[step < 65535 ? step : 65535];
}

// Moments in 8-bit codes, 256 to a scale: one warp of the block takes a block of codes at a time. Parts: p, g, codes and
// scales of m, of v. `tables` are the values of both codes and then their nearest.
extern "C" __global__ void adamw_8bit(
    PLAN, double lr, double beta1, double beta2, double epsilon, double decay, const float* values, const u8* nearest) {
  BEGIN
  float size, root, keep = (float)(1.0 - lr * decay), kept1 = (float)beta1, fresh1 = (float)(1.0 - beta1),
                    kept2 = (float)beta2, fresh2 = (float)(1.0 - beta2);
  corrections(step, lr, beta1, beta2, &size, &root);
  u32 lane = threadIdx.x % 32;
  for (u64 start = first + threadIdx.x / 32 * 256; start < end; start += blockDim.x / 32 * 256) {
    float m[8], v[8], most = 0.0f, largest = 0.0f;
    float mean_scale = PART(float, 3)[start / 256], square_scale = PART(float, 5)[start / 256];
    __syncwarp();
    for (i32 k = 0; k < 8; k++) {
      u64 i = start + lane + 32 * k;
      m[k] = v[k] = 0.0f;
      if (i >= end) continue;
      float g = PART(float, 1)[i] * scale[0];
      m[k] = values[PART(u8, 2)[i]] * mean_scale * kept1 + fresh1 * g;
      v[k] = values[256 + PART(u8, 4)[i]] * square_scale * kept2 + fresh2 * g * g;
      PART(float, 0)[i] = PART(float, 0)[i] * keep - size * m[k] / (sqrtf(v[k]) / root + (float)epsilon);
      most = fmaxf(most, fabsf(m[k]));
      largest = fmaxf(largest, fabsf(v[k]));
    }
    for (i32 distance = 16; distance > 0; distance /= 2) {
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    for (i32 k = 0; k < 8; k++) {
      u64 i = start + lane + 32 * k;
      if (i >= end) continue;
      PART(u8, 2)[i] = most == 0.0f ? 0 : code_of(m[k] / most, nearest);
      PART(u8, 4)[i] = largest == 0.0f ? 0 : code_of(v[k] / largest, nearest + 65536);
    }
    if (lane == 0) {
      PART(float, 3)[start / 256] = most;
      PART(float, 5)[start / 256] = largest;
    }
  }
}

// The number of updates made, after all of them.
extern "C" __global__ void advance(float* step, const float* skip) {
  if (skip[0] == 0.0f) step[0] = step[0] + 1.0f;
}

// Partial Σ x² of a piece in f64.
extern "C" __global__ void squares(const Item* items, const Piece* pieces, double* partial) {
  Item item = items[pieces[blockIdx.x].item];
  u64 first = (u64)pieces[blockIdx.x].chunk * CHUNK;
  double total = 0.0;
  for (u64 i = first + threadIdx.x; i < first + CHUNK && i < item.length; i += blockDim.x) {
    double x = PART(float, 0)[i];
    total += x * x;
  }
  total = block_sum(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

// √Σ of the partial sums; one block.
extern "C" __global__ void norm_of(const double* partial, u64 n, float* norm) {
  double total = 0.0;
  for (u64 i = threadIdx.x; i < n; i += blockDim.x) total += partial[i];
  total = block_sum(total);
  if (threadIdx.x == 0) norm[0] = (float)sqrt(total);
}

extern "C" __global__ void clip_factor(const float* norm, float most, float* scale, float* skip) {
  float factor = most / (norm[0] + 1e-6f);
  scale[0] = most == 0.0f ? 1.0f : fminf(factor, 1.0f);
  skip[0] = fabsf(norm[0]) <= 3.402823466e38f ? 0.0f : 1.0f;
}
