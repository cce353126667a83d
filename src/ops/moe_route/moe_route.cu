#include "gpu_launch.cuh"
#include "ops/moe_route/route_gpu.cuh"

namespace musaic {
namespace {

constexpr int kWordTokens = 32;
constexpr int kLoads = 12;  // on their way at once
constexpr unsigned kFewThreads = 256, kManyThreads = 1024;

// What a block knows of each expert: how many tokens before and after the block's own chose it, and which of
// its own, in `kWords` words.
template <int kWords>
struct Choices {
  int before[kMaxRoutedExperts];
  int after[kMaxRoutedExperts];
  int start[kMaxRoutedExperts];
  uint32_t own[kMaxRoutedExperts][kWords];

  __device__ void clear(int experts) {
    for (int e = static_cast<int>(threadIdx.x); e < experts; e += static_cast<int>(blockDim.x)) {
      before[e] = after[e] = 0;
#pragma unroll
      for (int word = 0; word < kWords; ++word) own[e][word] = 0;
    }
  }
  __device__ int count(int expert) const {
    int count = before[expert] + after[expert];
#pragma unroll
    for (int word = 0; word < kWords; ++word) count += __popc(own[expert][word]);
    return count;
  }
  // How many tokens before the block's token number `index` chose the expert.
  __device__ int rank(int expert, int index) const {
    int rank = before[expert];
#pragma unroll
    for (int word = 0; word < kWords; ++word) {
      const int bits = index - kWordTokens * word;
      const uint32_t mask = bits >= kWordTokens ? 0xffffffffu : bits > 0 ? (1u << bits) - 1 : 0u;
      rank += __popc(own[expert][word] & mask);
    }
    return rank;
  }
};

// Every block counts all choices, which needs no word between blocks, and places those of its own tokens: in
// their order, as no token chooses an expert twice.
template <int kWords>
__global__ void __launch_bounds__(kManyThreads) route_tokens(MoeRouteCall call) {
  constexpr int kTokensOfBlock = kWordTokens * kWords;
  __shared__ Choices<kWords> choices;
  const int top_k = call.top_k;
  const int live = static_cast<int>(live_count(call.live_rows, call.tokens)) * top_k;
  const int first = static_cast<int>(blockIdx.x) * kTokensOfBlock * top_k;
  choices.clear(call.num_experts);
  wait_for_previous_kernel();
  if (blockIdx.x > 0 && first >= live) return;  // whole blocks
  __syncthreads();
  const int last = min(first + kTokensOfBlock * top_k, live);
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int base = thread; base < live; base += kLoads * threads) {
    int experts[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      const int i = base + j * threads;
      experts[j] = i < live ? call.experts[i] : 0;
    }
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      const int i = base + j * threads, expert = experts[j];
      if (i >= live) continue;
      if (expert < 0 || expert >= call.num_experts) stop_device();
      if (i < first) {
        atomicAdd(&choices.before[expert], 1);
      } else if (i >= last) {
        atomicAdd(&choices.after[expert], 1);
      } else {
        const int index = (i - first) / top_k;
        atomicOr(&choices.own[expert][index / kWordTokens], 1u << index % kWordTokens);
      }
    }
  }
  __syncthreads();
  if (thread < kWarpSize) {
    place_experts(call, blockIdx.x == 0, choices.start, [&](int expert) { return choices.count(expert); });
  }
  __syncthreads();
  for (int i = first + thread; i < last; i += threads) {
    const int expert = call.experts[i], index = (i - first) / top_k;
    store_row(call, i, static_cast<int64_t>(blockIdx.x) * kTokensOfBlock + index,
              choices.start[expert] + choices.rank(expert, index));
  }
}

template <int kWords>
void launch_route(const MoeRouteCall& call, gpuStream_t stream) {
  constexpr int kTokensOfBlock = kWordTokens * kWords;
  const auto blocks = static_cast<unsigned>((call.tokens + kTokensOfBlock - 1) / kTokensOfBlock);
  launch_kernel(route_tokens<kWords>, dim3(blocks > 0 ? blocks : 1),
                dim3(blocks > 1 ? kManyThreads : kFewThreads), stream, call);
}

}  // namespace

// Blocks of few tokens end sooner, but each counts all.
void launch_moe_route(const MoeRouteCall& call, gpuStream_t stream) {
  constexpr int64_t kManyTokens = 4096;
  if (call.tokens <= kManyTokens) return launch_route<1>(call, stream);
  launch_route<4>(call, stream);
}

}  // namespace musaic
