// B square blocks of `size` side by side in one matrix [size, width], and rows [N, width] that they multiply.
#include "common.cuh"

// Where (row, column), row < column, lies among the numbers above the diagonal.
__device__ inline u64 above(u64 row, u64 column, u64 size) {
  return row * size - row * (row + 1) / 2 + column - row - 1;
}

// q = a − aᵀ, of `numbers` a block: whole, or those above the diagonal
extern "C" __global__ void skew_blocks(const float* a, u64 numbers, u64 size, u64 width, float* q, u64 n) {
  u64 at = ELEMENT;
  if (at >= n) return;
  u64 i = at / width, j = at % width % size;
  a += at % width / size * numbers;
  if (numbers == size * size) q[at] = i == j ? 0.0f : a[i * size + j] - a[j * size + i];
  else q[at] = i == j ? 0.0f : i < j ? a[above(i, j, size)] : -a[above(j, i, size)];
}

// da = g − gᵀ, whole or above the diagonal; one thread a number of g
extern "C" __global__ void skew_blocks_backward(const float* g, u64 numbers, u64 size, u64 width, float* da, u64 n) {
  u64 at = ELEMENT;
  if (at >= n) return;
  u64 i = at / width, j = at % width % size, first = at % width - j;
  float value = i == j ? 0.0f : g[at] - g[j * width + first + i];
  da += first / size * numbers;
  if (numbers == size * size) da[i * size + j] = value;
  else if (i < j) da[above(i, j, size)] = value;
}

// One block of threads a matrix; y = 2((I + Q)⁻¹ − I) in f64 by Gauss–Jordan, which needs no pivots:
// xᵀ(I + Q)x = ‖x‖². `work` has size² numbers for each matrix.
extern "C" __global__ void cayley_blocks(const float* q, u32 size, u64 width, double* work, float* y) {
  u64 first = (u64)blockIdx.x * size;
  u32 count = size * size;
  double* m = work + (u64)blockIdx.x * count;
  for (u32 at = threadIdx.x; at < count; at += blockDim.x)
    m[at] = (double)q[at / size * width + first + at % size] + (at / size == at % size ? 1.0 : 0.0);
  __syncthreads();
  for (u32 p = 0; p < size; p++) {
    double inverse = 1.0 / m[p * size + p];
    __syncthreads();
    for (u32 j = threadIdx.x; j < size; j += blockDim.x) m[p * size + j] = (j == p ? 1.0 : m[p * size + j]) * inverse;
    __syncthreads();
    for (u32 i = threadIdx.x; i < size; i += blockDim.x) {
      if (i == p) continue;
      double factor = m[i * size + p];
      m[i * size + p] = 0.0;
      for (u32 j = 0; j < size; j++) m[i * size + j] -= factor * m[p * size + j];
    }
    __syncthreads();
  }
  for (u32 at = threadIdx.x; at < count; at += blockDim.x) {
    double one = at / size == at % size ? 1.0 : 0.0;
    y[at / size * width + first + at % size] = (float)(2.0 * (m[at] - one));
  }
}

// c = op(a) · op(b) for each block; nn (0), nt (1), tn (2)
extern "C" __global__ void matmul_blocks(
    i32 layout, const float* a, const float* b, u64 width, u64 size, u64 depth, float* c, u64 n) {
  u64 at = ELEMENT;
  if (at >= n) return;
  u64 i = at / width, column = at % width, j = column % size, first = column - j;
  float total = 0.0f;
  for (u64 p = 0; p < depth; p++) {
    float left = layout == 2 ? a[p * width + first + i] : a[i * width + first + p];
    total += left * (layout == 1 ? b[j * width + first + p] : b[p * width + column]);
  }
  c[at] = total;
}

// y[·, j] = x[·, order[j]], or the inverse: y[·, order[j]] = x[·, j]
extern "C" __global__ void permute_columns(const float* x, const i32* order, u64 d, i32 inverse, float* y, u64 n) {
  u64 at = ELEMENT;
  if (at >= n) return;
  u64 row = at / d * d, other = row + order[at % d];
  if (inverse) y[other] = x[at];
  else y[at] = x[other];
}
