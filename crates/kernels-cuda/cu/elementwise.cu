#include "common.cuh"

extern "C" __global__ void fill(u8* x, u64 n, u64 pattern, i32 size) {
  u64 i = ELEMENT;
  if (i >= n) return;
  if (size == 4) ((u32*)x)[i] = (u32)pattern;
  else if (size == 2) ((u16*)x)[i] = (u16)pattern;
  else if (size == 1) x[i] = (u8)pattern;
  else ((u64*)x)[i] = pattern;
}

// y = a ∘ b, b repeated over the rows of a where it is shorter; add, sub, mul.
extern "C" __global__ void binary(i32 kind, const float* a, const float* b, u64 b_length, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  float left = a[i], right = b[i % b_length];
  y[i] = kind == 0 ? left + right : kind == 1 ? left - right : left * right;
}

// In f64, as losses take the difference of such values: exp, log σ, log(1 − eˣ), √, step.
__device__ inline double function(i32 kind, double x) {
  if (kind == 0) return exp(x);
  if (kind == 1) return x < 0.0 ? x - log1p(exp(x)) : -log1p(exp(-x));
  // Each branch is exact where the other loses its digits (Mächler 2012).
  if (kind == 2) return x > -0.693147180559945309417 ? log(-expm1(x)) : log1p(-exp(x));
  if (kind == 3) return sqrt(x);
  return x > 0.0 ? 1.0 : 0.0;
}

extern "C" __global__ void unary(i32 kind, const float* x, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i < n) y[i] = (float)function(kind, (double)x[i]);
}

extern "C" __global__ void scale(const float* x, float factor, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i < n) y[i] = factor * x[i];
}

extern "C" __global__ void scale_by(const float* x, const float* s, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i < n) y[i] = s[0] * x[i];
}

extern "C" __global__ void soft_cap(const float* x, float cap, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i < n) y[i] = cap * tanhf(x[i] / cap);
}

extern "C" __global__ void accumulate(float* acc, const float* x, float factor, u64 n) {
  u64 i = ELEMENT;
  if (i < n) acc[i] = acc[i] + factor * x[i];
}

// Partial sums of 4,096 elements a block of 256; the second time of those.
extern "C" __global__ void sum(const float* x, float* y, u64 n) {
  u64 first = (u64)blockIdx.x * 4096;
  float total = 0.0f;
  for (u64 i = first + threadIdx.x; i < first + 4096 && i < n; i += 256) total += x[i];
  total = block_sum(total);
  if (threadIdx.x == 0) y[blockIdx.x] = total;
}

// x [n, d] → y [blocks of 64 rows, d]
extern "C" __global__ void sum_rows(const float* x, float* y, u64 n, u64 d) {
  u64 column = (u64)blockIdx.x * blockDim.x + threadIdx.x, first = (u64)blockIdx.y * 64;
  if (column >= d) return;
  float total = 0.0f;
  for (u64 row = first; row < first + 64 && row < n; row++) total += x[row * d + column];
  y[blockIdx.y * d + column] = total;
}

// A number whose order as an integer is that of x: −0 equals 0, and a NaN is larger than all.
__device__ inline u64 rank_of(float x) {
  if (x != x) return 0xffffffffu;
  u32 bits = __float_as_uint(x + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

struct Largest {
  __device__ u64 operator()(u64 a, u64 b) const { return a > b ? a : b; }
};

// One block for each row: of equals the one with the most columns behind it.
extern "C" __global__ void argmax(const float* x, i32* index, float* value, u64 d) {
  u64 row = blockIdx.x, best = 0;
  x += row * d;
  for (u64 j = threadIdx.x; j < d; j += blockDim.x) best = Largest()(best, rank_of(x[j]) << 32 | (d - j));
  best = block_reduce(best, (u64)0, Largest());
  if (threadIdx.x != 0) return;
  u64 place = d - (best & 0xffffffffu);
  index[row] = (i32)place;
  value[row] = x[place];
}

// Floats of one kind to another; f64 and integers go through f64, which holds them all.
extern "C" __global__ void cast(const void* x, i32 from, void* y, i32 to, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  if (from <= F16 && to <= F16) {
    put(y, to, i, element(x, from, i));
    return;
  }
  double value;
  if (from <= F16) value = element(x, from, i);
  else if (from == F64) value = ((const double*)x)[i];
  else if (from == I32) value = ((const i32*)x)[i];
  else if (from == I8) value = ((const i8*)x)[i];
  else value = ((const u8*)x)[i];
  if (to == F32) ((float*)y)[i] = (float)value;
  else if (to == F64) ((double*)y)[i] = value;
  else if (to <= F16) {
    // Rounded to odd on the way, so that the second rounding is the only one.
    float near = (float)value;
    u32 bits = __float_as_uint(near);
    if ((double)near != value && value == value && (bits & 0x7fffffffu) < 0x7f800000u) {
      bool beyond = value > 0.0 ? (double)near > value : (double)near < value;
      if (beyond) bits -= 1;
      near = __uint_as_float(bits | 1);
    }
    put(y, to, i, near);
  } else {
    // Truncates and saturates; a NaN is 0.
    double low = to == I32 ? -2147483648.0 : to == I8 ? -128.0 : 0.0;
    double high = to == I32 ? 2147483647.0 : to == I8 ? 127.0 : 255.0;
    double whole = value != value ? 0.0 : value < low ? low : value > high ? high : value;
    if (to == I32) ((i32*)y)[i] = (i32)whole;
    else if (to == I8) ((i8*)y)[i] = (i8)(i32)whole;
    else ((u8*)y)[i] = (u8)(i32)whole;
  }
}
