// Softmax attention on tensor cores (Dao et al. 2022, 2023): products of bf16, or of f16, with sums in f32, tile by
// tile in shared memory, for head sizes of 64, 96, 128 and 256. A warp owns 16 rows. The plan is that of attention.cu, cut
// into tiles.
#include "common.cuh"

#include <mma.h>

using namespace nvcuda;

#ifdef PRODUCTS_OF_F16
typedef __half narrow;
__device__ inline u16 to_narrow(float x) { return to_half(x); }
#else
typedef __nv_bfloat16 narrow;
__device__ inline u16 to_narrow(float x) { return to_bf16(x); }
#endif

// Keys, or queries in `keys`, that a tile meets at a time.
#define STEP 32
// Rows are padded so that lanes do not meet in one bank.
#define PAD 8
#define SCORES (STEP + 4)
#define WEIGHTS (STEP + PAD)
#define INFINITE __uint_as_float(0x7f800000u)
#define SHAPE i32 query_heads, i32 key_heads, i32 window, float scale, float cap

// Query rows of one segment: where its keys begin in `keys`, and how many of them the first row sees.
struct QueryTile {
  i32 row, count, first, seen;
};

// Places of one segment's keys: the first among all places and in the segment, the segment's query rows, and how many keys
// are before the first query's own.
struct KeyTile {
  i32 place, count, inner, query, queries, before;
};

typedef wmma::fragment<wmma::matrix_a, 16, 16, 16, narrow, wmma::row_major> Left;
typedef wmma::fragment<wmma::matrix_b, 16, 16, 16, narrow, wmma::row_major> Right;
typedef wmma::fragment<wmma::matrix_b, 16, 16, 16, narrow, wmma::col_major> Turned;
typedef wmma::fragment<wmma::accumulator, 16, 16, 16, float> Sums;

// Takes pieces of the shared memory of a launch.
struct Shared {
  char* at;
  template <class T> __device__ T* take(i32 count) {
    T* piece = (T*)at;
    at += (count * sizeof(T) + 127) / 128 * 128;
    return piece;
  }
};

// Rows of x rounded, row i from where `at(i)` says; zeros from `count` on.
template <i32 D, class F> __device__ void load(narrow* to, i32 rows, i32 count, const float* x, F at) {
  u16* bits = (u16*)to;
  for (i32 i = threadIdx.x; i < rows * D; i += blockDim.x) {
    i32 row = i / D;
    bits[row * (D + PAD) + i % D] = row < count ? to_narrow(x[at(row) + i % D]) : 0;
  }
}

__device__ inline void zero(float* x, i32 count) {
  for (i32 i = threadIdx.x; i < count; i += blockDim.x) x[i] = 0.0f;
}

// scores [16, STEP] of a warp = its rows of a · bᵀ
template <i32 D> __device__ void multiply_turned(const narrow* a, const narrow* b, float* scores) {
  for (i32 n = 0; n < STEP; n += 16) {
    Left left;
    Turned right;
    Sums sums;
    wmma::fill_fragment(sums, 0.0f);
    for (i32 d = 0; d < D; d += 16) {
      wmma::load_matrix_sync(left, a + d, D + PAD);
      wmma::load_matrix_sync(right, b + n * (D + PAD) + d, D + PAD);
      wmma::mma_sync(sums, left, right, sums);
    }
    wmma::store_matrix_sync(scores + n, sums, SCORES, wmma::mem_row_major);
  }
}

// out [16, D] of a warp += its weights [16, STEP] · b
template <i32 D> __device__ void add_product(const narrow* weights, const narrow* b, float* out) {
  for (i32 d = 0; d < D; d += 16) {
    Left left;
    Right right;
    Sums sums;
    wmma::load_matrix_sync(sums, out + d, D + 4, wmma::mem_row_major);
    for (i32 k = 0; k < STEP; k += 16) {
      wmma::load_matrix_sync(left, weights + k, WEIGHTS);
      wmma::load_matrix_sync(right, b + k * (D + PAD) + d, D + PAD);
      wmma::mma_sync(sums, left, right, sums);
    }
    wmma::store_matrix_sync(out + d, sums, D + 4, wmma::mem_row_major);
  }
}

// The other half of a row's columns is the neighbour's.
__device__ inline float pair_max(float x) { return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1)); }
__device__ inline float pair_sum(float x) { return x + __shfl_xor_sync(0xffffffffu, x, 1); }

__device__ inline bool sees(i32 place, i32 seen, i32 window) {
  return place < seen && (window == 0 || place >= seen - window);
}

template <i32 D, i32 WARPS>
__device__ void forward(
    const float* q, const float* k, const float* v, const QueryTile* tiles, const i32* keys, SHAPE, float* o, float* lse) {
  DYNAMIC_SHARED(memory);
  Shared shared = {memory};
  narrow* queries = shared.take<narrow>(16 * WARPS * (D + PAD));
  narrow* left = shared.take<narrow>(STEP * (D + PAD));
  narrow* right = shared.take<narrow>(STEP * (D + PAD));
  float* scores = shared.take<float>(16 * WARPS * SCORES);
  narrow* weights = shared.take<narrow>(16 * WARPS * WEIGHTS);
  float* out = shared.take<float>(16 * WARPS * (D + 4));
  QueryTile tile = tiles[blockIdx.x];
  i32 head = blockIdx.y, key_head = head / (query_heads / key_heads), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  load<D>(queries, 16 * WARPS, tile.count, q, [&](i32 i) { return ((u64)(tile.row + i) * query_heads + head) * D; });
  zero(out, 16 * WARPS * (D + 4));
  // A row of the warp and half of its columns.
  i32 row = 16 * warp + lane / 2, half = lane % 2 * (STEP / 2), seen = tile.seen + row;
  float most = -INFINITE, total = 0.0f, slope;
  i32 begin = window > 0 && tile.seen > window ? tile.seen - window : 0, end = tile.seen + tile.count - 1;
  for (i32 start = begin; start < end; start += STEP) {
    i32 count = end - start < STEP ? end - start : STEP;
    const i32* list = keys + tile.first + start;
    auto key_at = [&](i32 i) { return ((u64)list[i] * key_heads + key_head) * D; };
    __syncthreads();
    load<D>(left, STEP, count, k, key_at);
    load<D>(right, STEP, count, v, key_at);
    __syncthreads();
    multiply_turned<D>(queries + 16 * warp * (D + PAD), left, scores + 16 * warp * SCORES);
    __syncwarp();
    float* own = scores + row * SCORES + half;
    float larger = most;
    for (i32 j = 0; j < STEP / 2; j++) {
      bool visible = row < tile.count && sees(start + half + j, seen, window);
      own[j] = visible ? capped(scale * own[j], cap, &slope) : -INFINITE;
      larger = fmaxf(larger, own[j]);
    }
    larger = pair_max(larger);
    float base = larger == -INFINITE ? 0.0f : larger, kept = most == -INFINITE ? 0.0f : expf(most - base), sum = 0.0f;
    u16* bits = (u16*)weights + row * WEIGHTS + half;
    for (i32 j = 0; j < STEP / 2; j++) {
      float weight = expf(own[j] - base);
      bits[j] = to_narrow(weight);
      sum += weight;
    }
    total = total * kept + pair_sum(sum);
    most = larger;
    for (i32 j = lane % 2; j < D; j += 2) out[row * (D + 4) + j] *= kept;
    __syncwarp();
    add_product<D>(weights + 16 * warp * WEIGHTS, right, out + 16 * warp * (D + 4));
    __syncwarp();
  }
  if (row >= tile.count) return;
  u64 task = (u64)(tile.row + row) * query_heads + head;
  for (i32 j = lane % 2; j < D; j += 2) o[task * D + j] = out[row * (D + 4) + j] / total;
  if (lane % 2 == 0) lse[task] = most + logf(total);
}

// p = e^(s − lse),  ds = p · (g·v − δ) · slope of the cap · scale
__device__ inline float gradient(
    float score, float product, float lse, float delta, float scale, float cap, float* weight) {
  float slope, p = expf(capped(scale * score, cap, &slope) - lse);
  *weight = p;
  return p * (product - delta) * slope * scale;
}

template <i32 D, i32 WARPS>
__device__ void backward_queries(
    const float* g, const float* q, const float* k, const float* v, const float* lse, const float* delta,
    const QueryTile* tiles, const i32* keys, SHAPE, float* dq) {
  DYNAMIC_SHARED(memory);
  Shared shared = {memory};
  narrow* queries = shared.take<narrow>(16 * WARPS * (D + PAD));
  narrow* gradients = shared.take<narrow>(16 * WARPS * (D + PAD));
  narrow* left = shared.take<narrow>(STEP * (D + PAD));
  narrow* right = shared.take<narrow>(STEP * (D + PAD));
  float* scores = shared.take<float>(16 * WARPS * SCORES);
  float* products = shared.take<float>(16 * WARPS * SCORES);
  narrow* weights = shared.take<narrow>(16 * WARPS * WEIGHTS);
  float* out = shared.take<float>(16 * WARPS * (D + 4));
  QueryTile tile = tiles[blockIdx.x];
  i32 head = blockIdx.y, key_head = head / (query_heads / key_heads), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  auto query_at = [&](i32 i) { return ((u64)(tile.row + i) * query_heads + head) * D; };
  load<D>(queries, 16 * WARPS, tile.count, q, query_at);
  load<D>(gradients, 16 * WARPS, tile.count, g, query_at);
  zero(out, 16 * WARPS * (D + 4));
  i32 row = 16 * warp + lane / 2, half = lane % 2 * (STEP / 2), seen = tile.seen + row;
  u64 task = (u64)(tile.row + row) * query_heads + head;
  i32 begin = window > 0 && tile.seen > window ? tile.seen - window : 0, end = tile.seen + tile.count - 1;
  for (i32 start = begin; start < end; start += STEP) {
    i32 count = end - start < STEP ? end - start : STEP;
    const i32* list = keys + tile.first + start;
    auto key_at = [&](i32 i) { return ((u64)list[i] * key_heads + key_head) * D; };
    __syncthreads();
    load<D>(left, STEP, count, k, key_at);
    load<D>(right, STEP, count, v, key_at);
    __syncthreads();
    multiply_turned<D>(queries + 16 * warp * (D + PAD), left, scores + 16 * warp * SCORES);
    multiply_turned<D>(gradients + 16 * warp * (D + PAD), right, products + 16 * warp * SCORES);
    __syncwarp();
    u16* bits = (u16*)weights + row * WEIGHTS + half;
    for (i32 j = 0; j < STEP / 2; j++) {
      float p, ds = 0.0f;
      i32 at = row * SCORES + half + j;
      if (row < tile.count && sees(start + half + j, seen, window))
        ds = gradient(scores[at], products[at], lse[task], delta[task], scale, cap, &p);
      bits[j] = to_narrow(ds);
    }
    __syncwarp();
    add_product<D>(weights + 16 * warp * WEIGHTS, left, out + 16 * warp * (D + 4));
    __syncwarp();
  }
  if (row >= tile.count) return;
  for (i32 j = lane % 2; j < D; j += 2) dq[task * D + j] = out[row * (D + 4) + j];
}

// Gradients of the keys of a tile, to their places: a row of k that several segments share has one place in each.
template <i32 D, i32 WARPS>
__device__ void backward_keys(
    const float* g, const float* q, const float* k, const float* v, const float* lse, const float* delta,
    const KeyTile* tiles, const i32* keys, SHAPE, float* dk, float* dv) {
  DYNAMIC_SHARED(memory);
  Shared shared = {memory};
  narrow* left = shared.take<narrow>(16 * WARPS * (D + PAD));
  narrow* right = shared.take<narrow>(16 * WARPS * (D + PAD));
  narrow* queries = shared.take<narrow>(STEP * (D + PAD));
  narrow* gradients = shared.take<narrow>(STEP * (D + PAD));
  float* scores = shared.take<float>(16 * WARPS * SCORES);
  float* products = shared.take<float>(16 * WARPS * SCORES);
  narrow* weights = shared.take<narrow>(16 * WARPS * WEIGHTS);
  narrow* slopes = shared.take<narrow>(16 * WARPS * WEIGHTS);
  float* out_k = shared.take<float>(16 * WARPS * (D + 4));
  float* out_v = shared.take<float>(16 * WARPS * (D + 4));
  KeyTile tile = tiles[blockIdx.x];
  i32 key_head = blockIdx.y, group = query_heads / key_heads, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  auto key_at = [&](i32 i) { return ((u64)keys[tile.place + i] * key_heads + key_head) * D; };
  load<D>(left, 16 * WARPS, tile.count, k, key_at);
  load<D>(right, 16 * WARPS, tile.count, v, key_at);
  zero(out_k, 16 * WARPS * (D + 4));
  zero(out_v, 16 * WARPS * (D + 4));
  // No query may see these keys.
  __syncthreads();
  i32 row = 16 * warp + lane / 2, half = lane % 2 * (STEP / 2), inner = tile.inner + row;
  i32 begin = tile.inner > tile.before ? tile.inner - tile.before : 0, end = tile.queries;
  i32 last = tile.inner + tile.count - 1 + window - tile.before;
  if (window > 0 && last < end) end = last;
  for (i32 start = begin; start < end; start += STEP) {
    i32 count = end - start < STEP ? end - start : STEP;
    for (i32 head = key_head * group; head < (key_head + 1) * group; head++) {
      auto task_of = [&](i32 i) { return (u64)(tile.query + start + i) * query_heads + head; };
      auto query_at = [&](i32 i) { return task_of(i) * D; };
      __syncthreads();
      load<D>(queries, STEP, count, q, query_at);
      load<D>(gradients, STEP, count, g, query_at);
      __syncthreads();
      multiply_turned<D>(left + 16 * warp * (D + PAD), queries, scores + 16 * warp * SCORES);
      multiply_turned<D>(right + 16 * warp * (D + PAD), gradients, products + 16 * warp * SCORES);
      __syncwarp();
      for (i32 j = half; j < half + STEP / 2; j++) {
        float p = 0.0f, ds = 0.0f;
        i32 at = row * SCORES + j;
        if (row < tile.count && j < count && sees(inner, tile.before + 1 + start + j, window))
          ds = gradient(scores[at], products[at], lse[task_of(j)], delta[task_of(j)], scale, cap, &p);
        ((u16*)weights)[row * WEIGHTS + j] = to_narrow(p);
        ((u16*)slopes)[row * WEIGHTS + j] = to_narrow(ds);
      }
      __syncwarp();
      add_product<D>(weights + 16 * warp * WEIGHTS, gradients, out_v + 16 * warp * (D + 4));
      add_product<D>(slopes + 16 * warp * WEIGHTS, queries, out_k + 16 * warp * (D + 4));
      __syncwarp();
    }
  }
  if (row >= tile.count) return;
  u64 place = (u64)(tile.place + row) * key_heads + key_head;
  for (i32 j = lane % 2; j < D; j += 2) {
    dk[place * D + j] = out_k[row * (D + 4) + j];
    dv[place * D + j] = out_v[row * (D + 4) + j];
  }
}

// δ = g·o, a warp a query and head.
extern "C" __global__ void flash_delta(const float* g, const float* o, i32 head_dim, float* delta, u64 tasks) {
  u64 task = (u64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (task >= tasks) return;
  float total = 0.0f;
  for (i32 i = threadIdx.x % 32; i < head_dim; i += 32) total += g[task * head_dim + i] * o[task * head_dim + i];
  for (i32 step = 16; step > 0; step /= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
  if (threadIdx.x % 32 == 0) delta[task] = total;
}

// y[row] = Σ x[place] over the places of a key row, in their order; rows of `columns` numbers.
extern "C" __global__ void flash_gather(const float* x, const i32* starts, const i32* places, u64 columns, float* y, u64 n) {
  u64 i = ELEMENT;
  if (i >= n) return;
  float total = 0.0f;
  u64 row = i / columns;
  for (i32 u = starts[row]; u < starts[row + 1]; u++) total += x[(u64)places[u] * columns + i % columns];
  y[i] = total;
}

#define FORWARD                                                                                                      \
  const float *q, const float *k, const float *v, const QueryTile *tiles, const i32 *keys, SHAPE, float *o, float *lse
#define BACKWARD                                                                                          \
  const float *g, const float *q, const float *k, const float *v, const float *lse, const float *delta
#define REST query_heads, key_heads, window, scale, cap

extern "C" __global__ void flash_64(FORWARD) { forward<64, 4>(q, k, v, tiles, keys, REST, o, lse); }
extern "C" __global__ void flash_96(FORWARD) { forward<96, 4>(q, k, v, tiles, keys, REST, o, lse); }
extern "C" __global__ void flash_128(FORWARD) { forward<128, 4>(q, k, v, tiles, keys, REST, o, lse); }
extern "C" __global__ void flash_256(FORWARD) { forward<256, 2>(q, k, v, tiles, keys, REST, o, lse); }

extern "C" __global__ void flash_dq_64(BACKWARD, const QueryTile* tiles, const i32* keys, SHAPE, float* dq) {
  backward_queries<64, 4>(g, q, k, v, lse, delta, tiles, keys, REST, dq);
}
extern "C" __global__ void flash_dq_96(BACKWARD, const QueryTile* tiles, const i32* keys, SHAPE, float* dq) {
  backward_queries<96, 4>(g, q, k, v, lse, delta, tiles, keys, REST, dq);
}
extern "C" __global__ void flash_dq_128(BACKWARD, const QueryTile* tiles, const i32* keys, SHAPE, float* dq) {
  backward_queries<128, 4>(g, q, k, v, lse, delta, tiles, keys, REST, dq);
}
extern "C" __global__ void flash_dq_256(BACKWARD, const QueryTile* tiles, const i32* keys, SHAPE, float* dq) {
  backward_queries<256, 2>(g, q, k, v, lse, delta, tiles, keys, REST, dq);
}

extern "C" __global__ void flash_dkv_64(BACKWARD, const KeyTile* tiles, const i32* keys, SHAPE, float* dk, float* dv) {
  backward_keys<64, 2>(g, q, k, v, lse, delta, tiles, keys, REST, dk, dv);
}
extern "C" __global__ void flash_dkv_96(BACKWARD, const KeyTile* tiles, const i32* keys, SHAPE, float* dk, float* dv) {
  backward_keys<96, 2>(g, q, k, v, lse, delta, tiles, keys, REST, dk, dv);
}
extern "C" __global__ void flash_dkv_128(BACKWARD, const KeyTile* tiles, const i32* keys, SHAPE, float* dk, float* dv) {
  backward_keys<128, 2>(g, q, k, v, lse, delta, tiles, keys, REST, dk, dv);
}
extern "C" __global__ void flash_dkv_256(BACKWARD, const KeyTile* tiles, const i32* keys, SHAPE, float* dk, float* dv) {
  backward_keys<256, 2>(g, q, k, v, lse, delta, tiles, keys, REST, dk, dv);
}
