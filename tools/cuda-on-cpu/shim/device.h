// What NVRTC gives a kernel without any header, for a C++ compiler: kernels are compiled as they are and run on the CPU,
// one fiber a CUDA thread. It shows that the logic is right; it does not round as a GPU does, and finds no races.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

#define __global__ __attribute__((visibility("hidden")))
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// Blocks run one after another, so one copy serves them all.
#define __shared__ static
#define __constant__ static
#define DYNAMIC_SHARED(name) char* name = emulator::dynamic_shared
#define __restrict__ __restrict

namespace emulator {

enum class State { ready, at_block_barrier, at_warp_barrier, done };

struct Fiber {
  void* stack;
  uint3 thread;
  State state;
  unsigned number;
};

extern Fiber* current;
extern uint3 block;
extern dim3 block_size, grid_size;
extern char* dynamic_shared;
// What the lanes of a warp hand each other: warp, lane, bytes.
extern unsigned char exchanged[32][32][16];

// Lets other threads run until the barrier is passed.
void wait_at(State barrier);

inline unsigned warp() { return current->number / 32; }
inline unsigned lane() { return current->number % 32; }

template <class T> T exchange(T value, unsigned from) {
  static_assert(sizeof(T) <= 16, "lanes hand each other at most 16 bytes");
  std::memcpy(exchanged[warp()][lane()], &value, sizeof value);
  wait_at(State::at_warp_barrier);
  T result;
  std::memcpy(&result, exchanged[warp()][from % 32], sizeof result);
  wait_at(State::at_warp_barrier);
  return result;
}

}  // namespace emulator

#define threadIdx (emulator::current->thread)
#define blockIdx emulator::block
#define blockDim emulator::block_size
#define gridDim emulator::grid_size

inline void __syncthreads() { emulator::wait_at(emulator::State::at_block_barrier); }
inline void __syncwarp(unsigned = ~0u) { emulator::wait_at(emulator::State::at_warp_barrier); }
template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulator::exchange(value, emulator::lane() ^ mask);
}

inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
