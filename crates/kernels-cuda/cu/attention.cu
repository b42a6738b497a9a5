// Softmax attention in f32 for any head size up to 512, a warp a query and head, or a key and head: no sums that race.
// The layout comes as a plan (src/backend/attention.rs): `keys` lists the key rows of every segment one after another.
#include "common.cuh"

#define WARPS 4
#define MOST 512
#define LANES (MOST / 32)
// Unrolled, so that the sums of a lane stay in registers.
#define EACH_CHANNEL              \
  _Pragma("unroll")               \
  for (i32 c = 0; c < LANES; c++) \
    if (c * 32 + lane < head_dim)

// A query row: where its segment's keys begin in `keys`, how many of them it sees; none where `seen` is 0.
struct Query {
  i32 first, seen;
};

// A place of a key row in a segment: its place among the keys, the segment's query rows, and how many keys are before the
// first query's own.
struct Use {
  i32 place, query, queries, before;
};


#define SHAPE i32 head_dim, i32 query_heads, i32 key_heads, i32 window, float scale, float cap

__device__ inline float dot(const float* a, const float* b, i32 d) {
  float total = 0.0f;
  for (i32 i = 0; i < d; i++) total += a[i] * b[i];
  return total;
}

__device__ inline float warp_sum(float x) {
  for (i32 step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

__device__ inline float warp_max(float x) {
  for (i32 step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

extern "C" __global__ void attention(
    const float* q, const float* k, const float* v, const Query* plan, const i32* keys, i32 queries, SHAPE, float* o,
    float* lse) {
  __shared__ float weights[WARPS][32];
  i32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  u64 task = (u64)blockIdx.x * WARPS + warp;
  if (task >= (u64)queries * query_heads) return;
  i32 row = (i32)(task / query_heads), head = (i32)(task % query_heads), key_head = head / (query_heads / key_heads);
  Query query = plan[row];
  q += task * head_dim;
  o += task * head_dim;
  float out[LANES], most = -__uint_as_float(0x7f800000u), total = 0.0f;
  for (i32 c = 0; c < LANES; c++) out[c] = 0.0f;
  i32 begin = window > 0 && query.seen > window ? query.seen - window : 0;
  for (i32 start = begin; start < query.seen; start += 32) {
    i32 count = query.seen - start < 32 ? query.seen - start : 32;
    const i32* list = keys + query.first + start;
    float score = -__uint_as_float(0x7f800000u), slope;
    if (lane < count) {
      u64 at = ((u64)list[lane] * key_heads + key_head) * head_dim;
      score = capped(scale * dot(q, k + at, head_dim), cap, &slope);
    }
    float larger = fmaxf(most, warp_max(score)), kept = expf(most - larger);
    float weight = lane < count ? expf(score - larger) : 0.0f;
    total = total * kept + warp_sum(weight);
    most = larger;
    weights[warp][lane] = weight;
    __syncwarp();
    EACH_CHANNEL out[c] *= kept;
    for (i32 j = 0; j < count; j++) {
      u64 at = ((u64)list[j] * key_heads + key_head) * head_dim;
      EACH_CHANNEL out[c] += weights[warp][j] * v[at + c * 32 + lane];
    }
    __syncwarp();
  }
  EACH_CHANNEL o[c * 32 + lane] = query.seen > 0 ? out[c] / total : 0.0f;
  if (lane == 0) lse[task] = query.seen > 0 ? most + logf(total) : 0.0f;
}

// p = e^(s − lse), δ = g·o:  ds = p · (g·vⱼ − δ) · slope of the cap · scale,  dq = Σ ds·kⱼ. Keeps δ for `attention_dkv`.
extern "C" __global__ void attention_dq(
    const float* g, const float* q, const float* k, const float* v, const float* o, const float* lse, const Query* plan,
    const i32* keys, i32 queries, SHAPE, float* delta, float* dq) {
  __shared__ float weights[WARPS][32];
  i32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  u64 task = (u64)blockIdx.x * WARPS + warp;
  if (task >= (u64)queries * query_heads) return;
  i32 row = (i32)(task / query_heads), head = (i32)(task % query_heads), key_head = head / (query_heads / key_heads);
  Query query = plan[row];
  g += task * head_dim;
  q += task * head_dim;
  o += task * head_dim;
  dq += task * head_dim;
  float out[LANES], own = 0.0f;
  for (i32 c = 0; c < LANES; c++) out[c] = 0.0f;
  for (i32 i = lane; i < head_dim; i += 32) own += g[i] * o[i];
  own = warp_sum(own);
  if (lane == 0) delta[task] = own;
  i32 begin = window > 0 && query.seen > window ? query.seen - window : 0;
  for (i32 start = begin; start < query.seen; start += 32) {
    i32 count = query.seen - start < 32 ? query.seen - start : 32;
    const i32* list = keys + query.first + start;
    float ds = 0.0f, slope;
    if (lane < count) {
      u64 at = ((u64)list[lane] * key_heads + key_head) * head_dim;
      float p = expf(capped(scale * dot(q, k + at, head_dim), cap, &slope) - lse[task]);
      ds = p * (dot(g, v + at, head_dim) - own) * slope * scale;
    }
    weights[warp][lane] = ds;
    __syncwarp();
    for (i32 j = 0; j < count; j++) {
      u64 at = ((u64)list[j] * key_heads + key_head) * head_dim;
      EACH_CHANNEL out[c] += weights[warp][j] * k[at + c * 32 + lane];
    }
    __syncwarp();
  }
  EACH_CHANNEL dq[c * 32 + lane] = out[c];
}

// dvⱼ = Σ p·g,  dkⱼ = Σ ds·q over the queries of all heads that see the key; `uses` of key row j are starts[j] … starts[j + 1].
extern "C" __global__ void attention_dkv(
    const float* g, const float* q, const float* k, const float* v, const float* lse, const float* delta,
    const i32* starts, const Use* uses, i32 key_rows, SHAPE, float* dk, float* dv) {
  __shared__ float weights[WARPS][2][32];
  i32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  u64 task = (u64)blockIdx.x * WARPS + warp;
  if (task >= (u64)key_rows * key_heads) return;
  i32 row = (i32)(task / key_heads), key_head = (i32)(task % key_heads), group = query_heads / key_heads;
  k += task * head_dim;
  v += task * head_dim;
  float out_k[LANES], out_v[LANES];
  for (i32 c = 0; c < LANES; c++) out_k[c] = out_v[c] = 0.0f;
  for (i32 u = starts[row]; u < starts[row + 1]; u++) {
    Use use = uses[u];
    // Query i sees the places before `before + 1 + i`, of these the last `window`.
    i32 begin = use.place - use.before, end = use.queries;
    if (begin < 0) begin = 0;
    if (window > 0 && use.place + window - use.before < end) end = use.place + window - use.before;
    i32 count = (end > begin ? end - begin : 0) * group;
    for (i32 start = 0; start < count; start += 32) {
      i32 task_of = start + lane, many = count - start < 32 ? count - start : 32;
      float p = 0.0f, ds = 0.0f, slope;
      if (lane < many) {
        u64 at = (u64)(use.query + begin + task_of / group) * query_heads + key_head * group + task_of % group;
        p = expf(capped(scale * dot(q + at * head_dim, k, head_dim), cap, &slope) - lse[at]);
        ds = p * (dot(g + at * head_dim, v, head_dim) - delta[at]) * slope * scale;
      }
      weights[warp][0][lane] = p;
      weights[warp][1][lane] = ds;
      __syncwarp();
      for (i32 j = 0; j < many; j++) {
        u64 at = (u64)(use.query + begin + (start + j) / group) * query_heads + key_head * group + (start + j) % group;
        EACH_CHANNEL {
          out_v[c] += weights[warp][0][j] * g[at * head_dim + c * 32 + lane];
          out_k[c] += weights[warp][1][j] * q[at * head_dim + c * 32 + lane];
        }
      }
      __syncwarp();
    }
  }
  dk += task * head_dim;
  dv += task * head_dim;
  EACH_CHANNEL {
    dk[c * 32 + lane] = out_k[c];
    dv[c * 32 + lane] = out_v[c];
  }
}
