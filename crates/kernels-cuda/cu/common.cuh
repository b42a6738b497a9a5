// What all kernels share. Includes nothing: a machine may have NVRTC without the toolkit's headers.
#pragma once

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

// Element types of tensors, numbered as `kind` in src/backend/mod.rs does.
enum Kind { F32 = 0, BF16 = 1, F16 = 2, F64 = 3, I32 = 4, I8 = 5, U8 = 6 };

// Shared memory that is asked for at the launch.
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) char name[]
#endif

// This thread's number in a grid of one axis.
#define ELEMENT ((u64)blockIdx.x * blockDim.x + threadIdx.x)

__device__ inline float from_bf16(u16 x) { return __uint_as_float((u32)x << 16); }

// Nearest, ties to even; a NaN stays one.
__device__ inline u16 to_bf16(float x) {
  u32 bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (u16)(bits >> 16 | 0x40);
  return (u16)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

__device__ inline float from_half(u16 x) {
  u32 sign = (u32)(x & 0x8000) << 16, exponent = x >> 10 & 31, fraction = x & 1023;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
  float small = (float)fraction * 5.9604644775390625e-8f;  // 2⁻²⁴
  return sign ? -small : small;
}

__device__ inline u16 to_half(float x) {
  u32 bits = __float_as_uint(x), size = bits & 0x7fffffffu;
  u16 sign = (u16)(bits >> 16 & 0x8000);
  if (size > 0x7f800000u) return sign | 0x7e00 | (u16)(size >> 13 & 0x3ff);
  if (size >= 0x47800000u) return sign | 0x7c00;
  if (size < 0x38800000u) return sign | (u16)rintf(__uint_as_float(size) * 16777216.0f);
  return sign | (u16)((size - 0x38000000u + 0xfffu + (size >> 13 & 1)) >> 13);
}

// A float of any kind but f64, widened.
__device__ inline float element(const void* x, i32 kind, u64 i) {
  if (kind == F32) return ((const float*)x)[i];
  u16 bits = ((const u16*)x)[i];
  return kind == BF16 ? from_bf16(bits) : from_half(bits);
}

// A float of any kind but f64, narrowed.
__device__ inline void put(void* y, i32 kind, u64 i, float value) {
  if (kind == F32) ((float*)y)[i] = value;
  else ((u16*)y)[i] = kind == BF16 ? to_bf16(value) : to_half(value);
}

struct Add {
  template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};

// The larger; a NaN wins.
struct Larger {
  __device__ float operator()(float a, float b) const { return b > a || b != b ? b : a; }
};

// All threads of the block get the value. Whole warps; always the same tree.
template <class T, class F> __device__ T block_reduce(T value, T start, F combine) {
  __shared__ T parts[32];
  u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (i32 step = 16; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  __syncthreads();
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  value = start;
  for (u32 i = 0; i < warps; i++) value = combine(value, parts[i]);
  return value;
}

template <class T> __device__ T block_sum(T value) { return block_reduce(value, (T)0, Add()); }
__device__ inline float block_max(float value) { return block_reduce(value, -__uint_as_float(0x7f800000u), Larger()); }

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// cap · tanh(x / cap) and its slope; x and 1 where the cap is 0.
__device__ inline float capped(float x, float cap, float* slope) {
  *slope = 1.0f;
  if (cap == 0.0f) return x;
  float bent = tanhf(x / cap);
  *slope = 1.0f - bent * bent;
  return cap * bent;
}
