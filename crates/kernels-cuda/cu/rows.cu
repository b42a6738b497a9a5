#include "common.cuh"

// y[i] = table[ids[i]]
extern "C" __global__ void take_rows(const void* table, i32 kind, const i32* ids, u64 d, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i < n) y[i] = element(table, kind, (u64)ids[i / d] * d + i % d);
}

// y[targets[t]] = Σ g[order[j]], starts[t] ≤ j < starts[t + 1]: the rows of one id, in their order.
extern "C" __global__ void scatter_add_rows(
    const float* g, const i32* targets, const i32* starts, const i32* order, u64 d, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  u64 target = i / d, column = i % d;
  float total = 0.0f;
  for (i32 j = starts[target]; j < starts[target + 1]; j++) total += g[(u64)order[j] * d + column];
  y[(u64)targets[target] * d + column] = total;
}

// dst[to[i]] = src[from[i]], rows of so many bytes; no row is written twice.
extern "C" __global__ void write_rows(u8* dst, const i32* to, const i32* from, const u8* src, u64 row_bytes, u64 n) {
  u64 i = ELEMENT;
  if (i < n) dst[(u64)to[i / row_bytes] * row_bytes + i % row_bytes] = src[(u64)from[i / row_bytes] * row_bytes + i % row_bytes];
}

// `width` columns of each row from one matrix to another; their rows are `x_stride` and `y_stride` apart.
extern "C" __global__ void copy_columns(const float* x, u64 x_stride, float* y, u64 y_stride, u64 width, u64 n) {
  u64 i = ELEMENT;
  if (i < n) y[i / width * y_stride + i % width] = x[i / width * x_stride + i % width];
}
