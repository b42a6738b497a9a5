// A cuBLASLt of plain loops: column-major products of f32, bf16 or f16 with sums in f32, in order.
#include <cstdint>
#include <cstring>
#include <algorithm>
#include <vector>

#define BLAS extern "C" __attribute__((visibility("default"))) int

enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
// cudaDataType
enum { F32 = 0, F16 = 2, BF16 = 14 };
// cublasComputeType_t
enum { COMPUTE_F32 = 68, COMPUTE_TF32 = 77 };
// cublasLtMatmulDescAttributes_t
enum { TRANSPOSED_A = 3, TRANSPOSED_B = 4 };

struct Operation {
  int transposed_a, transposed_b;
  bool tf32;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t stride;
};
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

BLAS cublasLtCreate(void** handle) {
  *handle = new int(0);
  return SUCCESS;
}
BLAS cublasLtDestroy(void* handle) {
  delete static_cast<int*>(handle);
  return SUCCESS;
}
BLAS cublasLtMatmulDescCreate(Operation** operation, int compute, int scale) {
  if ((compute != COMPUTE_F32 && compute != COMPUTE_TF32) || scale != F32) return NOT_SUPPORTED;
  *operation = new Operation{0, 0, compute == COMPUTE_TF32};
  return SUCCESS;
}
BLAS cublasLtMatmulDescDestroy(Operation* operation) {
  delete operation;
  return SUCCESS;
}
BLAS cublasLtMatmulDescSetAttribute(Operation* operation, int attribute, const void* value, size_t size) {
  if (size != 4) return INVALID_VALUE;
  int number;
  memcpy(&number, value, 4);
  if (attribute == TRANSPOSED_A) operation->transposed_a = number;
  else if (attribute == TRANSPOSED_B) operation->transposed_b = number;
  else return NOT_SUPPORTED;
  return SUCCESS;
}
BLAS cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  if (type != F32 && type != BF16 && type != F16) return NOT_SUPPORTED;
  *layout = new Layout{type, rows, columns, stride};
  return SUCCESS;
}
BLAS cublasLtMatrixLayoutDestroy(Layout* layout) {
  delete layout;
  return SUCCESS;
}
BLAS cublasLtMatmulPreferenceCreate(void** preference) {
  *preference = new int(0);
  return SUCCESS;
}
BLAS cublasLtMatmulPreferenceDestroy(void* preference) {
  delete static_cast<int*>(preference);
  return SUCCESS;
}
BLAS cublasLtMatmulPreferenceSetAttribute(void*, int, const void*, size_t) { return SUCCESS; }
BLAS cublasLtMatmulAlgoGetHeuristic(
    void*, Operation*, Layout*, Layout*, Layout*, Layout*, void*, int wanted, Heuristic* results, int* found) {
  if (wanted < 1) return INVALID_VALUE;
  memset(results, 0, sizeof *results);
  *found = 1;
  return SUCCESS;
}

static float element(const void* x, int type, size_t i) {
  if (type == F32) return static_cast<const float*>(x)[i];
  if (type == F16) {
    _Float16 narrow;
    memcpy(&narrow, static_cast<const uint16_t*>(x) + i, 2);
    return static_cast<float>(narrow);
  }
  uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(x)[i]) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// Ten bits of the fraction are left, the nearest.
static float to_tf32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0xfffu + (bits >> 13 & 1)) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}

// op(x), `rows` of it and then the next column's.
static std::vector<float> unpack(
    const void* x, const Layout& layout, bool transposed, bool tf32, size_t rows, size_t columns) {
  std::vector<float> all(rows * columns);
  for (size_t j = 0; j < columns; j++)
    for (size_t i = 0; i < rows; i++) {
      size_t at = transposed ? j + i * layout.stride : i + j * layout.stride;
      float value = element(x, layout.type, at);
      all[i + j * rows] = tf32 ? to_tf32(value) : value;
    }
  return all;
}

BLAS cublasLtMatmul(
    void*, Operation* operation, const void* alpha, const void* a, Layout* of_a, const void* b, Layout* of_b,
    const void* beta, const void* c, Layout* of_c, void* d, Layout* of_d, const void*, void*, size_t, void*) {
  bool ta = operation->transposed_a, tb = operation->transposed_b;
  size_t m = of_d->rows, n = of_d->columns, k = ta ? of_a->rows : of_a->columns;
  bool fits = (ta ? of_a->columns : of_a->rows) == m && (tb ? of_b->rows : of_b->columns) == n &&
              (tb ? of_b->columns : of_b->rows) == k && of_a->type == of_b->type && of_d->type == F32 && c == d &&
              of_c->stride == of_d->stride;
  if (!fits) return INVALID_VALUE;
  bool tf32 = operation->tf32;
  std::vector<float> left = unpack(a, *of_a, ta, tf32, m, k), right = unpack(b, *of_b, tb, tf32, k, n), sums(m);
  float factor = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
  for (size_t j = 0; j < n; j++) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (size_t p = 0; p < k; p++) {
      float other = right[p + j * k];
      const float* column = &left[p * m];
      for (size_t i = 0; i < m; i++) sums[i] += column[i] * other;
    }
    float* out = static_cast<float*>(d) + j * of_d->stride;
    for (size_t i = 0; i < m; i++) out[i] = kept == 0.0f ? factor * sums[i] : factor * sums[i] + kept * out[i];
  }
  return SUCCESS;
}
