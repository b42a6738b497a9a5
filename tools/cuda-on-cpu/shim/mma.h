// WMMA for a warp of fibers. The first lane holds the whole fragment and does the work: numbers of a fragment cannot be
// looked at here, as CUDA says nothing of which lane has which.
#pragma once
#include "device.h"

struct __nv_bfloat16 {
  uint16_t bits;
  operator float() const { return __uint_as_float(static_cast<unsigned>(bits) << 16); }
};

struct __half {
  _Float16 value;
  operator float() const { return static_cast<float>(value); }
};

namespace nvcuda {
namespace wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = void> class fragment {
  static_assert(M == 16 && N == 16 && K == 16, "tiles of 16");

 public:
  // Row-major, whatever the layout in memory.
  float held[16][16];
};

template <class Use, class T> void fill_fragment(fragment<Use, 16, 16, 16, T>& f, float value) {
  if (emulator::lane() != 0) return;
  for (auto& row : f.held)
    for (auto& x : row) x = value;
}

inline void check_aligned(const void* at) {
  if (reinterpret_cast<uintptr_t>(at) % 32 != 0) __builtin_trap();
}

template <class Use, class T, class Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& f, const T* at, unsigned stride) {
  check_aligned(at);
  constexpr bool turned = std::is_same<Layout, col_major>::value;
  if (emulator::lane() != 0) return;
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) f.held[i][j] = turned ? at[j * stride + i] : at[i * stride + j];
}

template <class T>
void load_matrix_sync(fragment<accumulator, 16, 16, 16, T>& f, const T* at, unsigned stride, layout_t) {
  check_aligned(at);
  if (emulator::lane() != 0) return;
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) f.held[i][j] = at[i * stride + j];
}

template <class T>
void store_matrix_sync(T* at, const fragment<accumulator, 16, 16, 16, T>& f, unsigned stride, layout_t) {
  check_aligned(at);
  if (emulator::lane() != 0) return;
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) at[i * stride + j] = f.held[i][j];
}

template <class T, class L, class R>
void mma_sync(
    fragment<accumulator, 16, 16, 16, float>& d, const fragment<matrix_a, 16, 16, 16, T, L>& a,
    const fragment<matrix_b, 16, 16, 16, T, R>& b, const fragment<accumulator, 16, 16, 16, float>& c) {
  if (emulator::lane() != 0) return;
  float sums[16][16];
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) sums[i][j] = c.held[i][j];
  for (int i = 0; i < 16; i++)
    for (int k = 0; k < 16; k++)
      for (int j = 0; j < 16; j++) sums[i][j] += a.held[i][k] * b.held[k][j];
  std::memcpy(d.held, sums, sizeof sums);
}

}  // namespace wmma
}  // namespace nvcuda
