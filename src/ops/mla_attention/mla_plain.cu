#include "gpu_launch.cuh"
#include "ops/mla_attention/kv_b_gpu.cuh"
#include "ops/mla_attention/mla_rows.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"

// Latent attention of any sizes and types in float32. A block of threads has one row and head; the expanded
// form is computed as the absorbed one, of latents rounded as kv_b asks for, between the head's key rows and
// value rows of kv_b.
namespace musaic {
namespace {

constexpr int kWarps = 8;  // a position each
constexpr int kThreads = kWarps * kWarpSize;
constexpr int kMaxWidth = 1024;
constexpr int kSums = kMaxWidth / kThreads;  // values of a latent a thread
constexpr int kGroup = 128;                  // values of one scale

struct PlainMemory {
  float query[kMaxWidth];
  float latents[kWarps][kMaxWidth];
  float scores[kWarps];
};

__device__ float cached_value(const MlaCacheGpu& cache, int64_t index) {
  if (cache.dtype == DType::kF32) return reinterpret_cast<const float*>(cache.data)[index];
  const uint32_t bits = reinterpret_cast<const uint16_t*>(cache.data)[index];
  return cache.dtype == DType::kF16 ? half_value(bits) : __uint_as_float(bits << 16);
}

// The head's query as it meets latents; then the rotated part.
template <bool kExpanded>
__device__ void load_query(const MlaAttentionCall& call, int64_t token, int head, PlainMemory& memory) {
  const KvBGpu& kv_b = call.kv_b;
  const int rope = call.cache.width - call.rank;
  const int head_dim = kExpanded ? kv_b.nope + rope : call.cache.width;
  const float* query = call.query + token * call.query_stride + static_cast<int64_t>(head) * head_dim;
  const int64_t first_row = static_cast<int64_t>(head) * (kv_b.nope + kv_b.value_dim);
  for (int i = threadIdx.x; i < call.cache.width; i += kThreads) {
    float value = 0.0f;
    if (kExpanded && i < call.rank) {
      for (int j = 0; j < kv_b.nope; ++j) value = fmaf(query[j], kv_b_value(kv_b, first_row + j, i), value);
    } else {
      value = query[kExpanded ? kv_b.nope + i - call.rank : i];
    }
    memory.query[i] = value * call.scale;
  }
}

// A latent through FP8 and back, by the warp that has it in its memory.
__device__ void round_latent(float* latent, int rank) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int begin = 0; begin < rank; begin += kGroup) {
    const int end = min(begin + kGroup, rank);
    float largest = 1e-10f;
    for (int i = begin + lane; i < end; i += kWarpSize) largest = fmaxf(largest, fabsf(latent[i]));
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, distance));
    const float scale = __fdiv_rn(largest, 448.0f);
    for (int i = begin + lane; i < end; i += kWarpSize) {
      const float held = fmaxf(-448.0f, fminf(__fdiv_rn(latent[i], scale), 448.0f));
      latent[i] = f8e4m3_value(to_f8e4m3(held)) * scale;
    }
  }
}

// The warp's position: its latent into memory, and its score.
__device__ void score_position(const MlaAttentionCall& call, const MlaRow& row, int position, bool rounds,
                               PlainMemory& memory) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  float* latent = memory.latents[warp];
  const int64_t from = position < row.seen ? cached_row(call.cache, row.sequence, position) : 0;
  for (int i = lane; i < call.cache.width; i += kWarpSize)
    latent[i] = position < row.seen ? cached_value(call.cache, from + i) : 0.0f;
  if (rounds) round_latent(latent, call.rank);
  float score = 0.0f;
  for (int i = lane; i < call.cache.width; i += kWarpSize) score = fmaf(memory.query[i], latent[i], score);
  score = warp_sum(score);
  if (lane == 0) memory.scores[warp] = position < row.seen ? score : kNoMaximum;
}

// What the head attended to, in memory.query, becomes its result.
template <bool kExpanded>
__device__ void write_result(const MlaAttentionCall& call, int64_t token, int head,
                             const PlainMemory& memory) {
  const KvBGpu& kv_b = call.kv_b;
  const int width = kExpanded ? kv_b.value_dim : call.rank;
  float* out = call.out + token * call.out_stride + static_cast<int64_t>(head) * width;
  if (!kExpanded) {
    for (int i = threadIdx.x; i < width; i += kThreads) out[i] = memory.query[i];
    return;
  }
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t first_row = static_cast<int64_t>(head) * (kv_b.nope + kv_b.value_dim) + kv_b.nope;
  for (int i = static_cast<int>(threadIdx.x) / kWarpSize; i < width; i += kWarps) {
    float sum = 0.0f;
    for (int c = lane; c < call.rank; c += kWarpSize)
      sum = fmaf(memory.query[c], kv_b_value(kv_b, first_row + i, c), sum);
    sum = warp_sum(sum);
    if (lane == 0) out[i] = sum;
  }
}

template <bool kExpanded>
__global__ void __launch_bounds__(kThreads) attend_plain(MlaAttentionCall call) {
  __shared__ PlainMemory memory;
  wait_for_previous_kernel();
  const int64_t token = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y);
  MlaRow row;
  if (!find_row(call.cache, token, &row)) return;
  load_query<kExpanded>(call, token, head, memory);
  const bool rounds = kExpanded && call.kv_b.dtype == DType::kF8E4M3;
  float maximum = kNoMaximum, weight = 0.0f;
  float sums[kSums] = {};
  for (int begin = 0; begin < row.seen; begin += kWarps) {
    __syncthreads();
    score_position(call, row, begin + static_cast<int>(threadIdx.x) / kWarpSize, rounds, memory);
    __syncthreads();
    float largest = maximum;
    for (int p = 0; p < kWarps; ++p) largest = fmaxf(largest, memory.scores[p]);
    const float keep = exp2f(maximum - largest);
    weight *= keep;
    for (int i = 0; i < kSums; ++i) sums[i] *= keep;
    for (int p = 0; p < kWarps; ++p) {
      const float share = exp2f(memory.scores[p] - largest);
      weight += share;
#pragma unroll
      for (int i = 0; i < kSums; ++i) {
        const int column = static_cast<int>(threadIdx.x) + i * kThreads;
        if (column < call.rank) sums[i] = fmaf(share, memory.latents[p][column], sums[i]);
      }
    }
    maximum = largest;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kSums; ++i) memory.query[threadIdx.x + i * kThreads] = sums[i] / weight;
  __syncthreads();
  write_result<kExpanded>(call, token, head, memory);
}

dim3 grid_of(const MlaAttentionCall& call) {
  return dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(call.heads));
}

}  // namespace

void launch_absorbed_plain(const MlaAttentionCall& call, gpuStream_t stream) {
  launch_kernel(attend_plain<false>, grid_of(call), kThreads, stream, call);
}

void launch_expanded_plain(const MlaAttentionCall& call, gpuStream_t stream) {
  launch_kernel(attend_plain<true>, grid_of(call), kThreads, stream, call);
}

}  // namespace musaic
