#include "common.cuh"

// cos, sin [n, pairs]; angles in f64
extern "C" __global__ void rope_table(
    const i32* positions, const double* frequencies, double scale, u64 pairs, float* c, float* s, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  double angle = (double)positions[i / pairs] * frequencies[i % pairs];
  c[i] = (float)(cos(angle) * scale);
  s[i] = (float)(sin(angle) * scale);
}

// (x₁, x₂) → (x₁·cos − x₂·sin, x₂·cos + x₁·sin) for channels i and i + pairs of each head (Su et al. 2021).
extern "C" __global__ void rope(
    const float* x, const float* c, const float* s, i32 pairs, i32 head_dim, u64 columns, i32 inverse, float* y, u64 n) {
  u64 at = ELEMENT;
  if (at >= n) return;
  u64 row = at / columns;
  i32 i = (i32)(at % columns % head_dim);
  if (i >= 2 * pairs) {
    y[at] = x[at];
    return;
  }
  bool first = i < pairs;
  u64 angle = row * pairs + (first ? i : i - pairs);
  float turn = inverse ? -s[angle] : s[angle];
  y[at] = first ? x[at] * c[angle] - x[at + pairs] * turn : x[at] * c[angle] + x[at - pairs] * turn;
}
