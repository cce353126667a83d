#include "ops/norm_route_fp8/norm_route_fp8_sm90.h"

#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/moe_gate/choose_gpu.cuh"
#include "ops/moe_gate_route/few_choices_gpu.cuh"
#include "ops/norm_route_fp8/route_tiles_sm90.cuh"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

// A few tokens by one cluster. Each block has a slice of all rows: its part of their sums of squares, of
// their logits before the norm's factor, and of their FP8 values. The first block adds up the logits and
// chooses. A block's part of the router is read before the rows are there. More tokens have a launch of many
// clusters (route_tiles_sm90.cuh) and one that groups them.
namespace musaic {
namespace {

constexpr int kBlocks = 8;
constexpr int kWarps = 16;
constexpr int kThreads = kWarps * kWarpSize;
constexpr int kMaxTokens = kWarps;                                   // a warp has a row's slice
constexpr int kGroups = kMaxNormRouteWidth / kBlocks / kRouteGroup;  // of a slice, at most
constexpr int kWarpExperts = kMaxNormRouteExperts / kWarps;
constexpr int N = kRouteGroup / kWarpSize;  // values of a group that a lane has

struct NormRouteMemory {
  float rows[kMaxTokens][kGroups * kRouteGroup];  // the slice, times the norm's weight
  float squares[kBlocks][kMaxTokens];
  // In the first block: of what each block has of the logits.
  float logits[kBlocks][kMaxTokens][kMaxNormRouteExperts];
  FewChoices choices;
};

// A warp's part of the router: four experts, in each lane's columns of the slice.
struct RouterPart {
  float values[kWarpExperts][kGroups][N];

  __device__ void load(const LinearCall& router, const RouteSlice& slice, int warp, int lane) {
#pragma unroll
    for (int e = 0; e < kWarpExperts; ++e) {
      const int64_t expert = warp * kWarpExperts + e;
      const auto* row = reinterpret_cast<const gpuBfloat16*>(router.weight) + expert * router.x.width;
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
#pragma unroll
        for (int i = 0; i < N; ++i) values[e][g][i] = 0.0f;
        if (expert < router.y.width && g < slice.groups)
          load_pack(row + slice.column(g) + lane * N, N, true, values[e][g]);
      }
    }
  }

  // What the slice adds to the four experts' logits: lane 8e has expert e's.
  __device__ float product(const float* row, int lane) const {
    float sums[kWarpExperts] = {};
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      float x[N];
      load_pack(row + g * kRouteGroup + lane * N, N, true, x);
#pragma unroll
      for (int e = 0; e < kWarpExperts; ++e) {
#pragma unroll
        for (int i = 0; i < N; ++i) sums[e] = fmaf(x[i], values[e][g][i], sums[e]);
      }
    }
    static_assert(kWarpExperts == 4, "two halvings");
    const bool upper = lane & 16, odd = lane & 8;
    float pair[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float given = upper ? sums[i] : sums[i + 2];
      pair[i] = (upper ? sums[i + 2] : sums[i]) + __shfl_xor_sync(0xffffffffu, given, 16);
    }
    float sum = (odd ? pair[1] : pair[0]) + __shfl_xor_sync(0xffffffffu, odd ? pair[0] : pair[1], 8);
    for (int distance = 4; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    return sum;
  }
};

// A row's slice in the lanes of a warp.
struct RowSlice {
  float values[kGroups][N];

  // x + residual, kept as the new residual; gives the sum of squares, in every lane.
  __device__ float load(const RmsNormCall& norm, const RouteSlice& slice, int row, int lane) {
    const float* x = row_of<const float>(norm.x, row);
    float* residual = row_of<float>(norm.residual, row);
    float squares = 0.0f;
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      if (g >= slice.groups) break;
      load_pack(x + slice.column(g) + lane * N, N, true, values[g]);
      add_pack<float>(residual, slice.column(g) + lane * N, static_cast<int>(norm.x.width), true, values[g]);
    }
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      if (g >= slice.groups) break;
      store_pack(values[g], residual + slice.column(g) + lane * N, N, true);
      squares = add_squares(values[g], squares);
    }
    return warp_sum(squares);
  }
};

// The norm's factor of a row whose squares the blocks have told.
__device__ float norm_factor(const NormRouteMemory& memory, const RmsNormCall& norm, int row) {
  float squares = 0.0f;
#pragma unroll
  for (int b = 0; b < kBlocks; ++b) squares += memory.squares[b][row];
  const float mean = __fdiv_rn(squares, static_cast<float>(norm.x.width));
  return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, norm.eps)));
}

// The first block: chooses for `live` tokens, by warps that have no rows where there are such.
__device__ void choose_and_group(const NormRouteCall& call, NormRouteMemory& memory, int live, int warp,
                                 int lane) {
  constexpr int kLaneExperts = kMaxNormRouteExperts / kWarpSize;
  const int token = live <= kWarps / 2 ? warp - kWarps / 2 : warp;
  const bool chooses = token >= 0 && token < live;
  int expert = 0;
  if (chooses) {
    const float factor = norm_factor(memory, call.norm, token);
    float logits[kLaneExperts];
#pragma unroll
    for (int j = 0; j < kLaneExperts; ++j) {
      float sum = 0.0f;
#pragma unroll
      for (int b = 0; b < kBlocks; ++b) sum += memory.logits[b][token][lane + j * kWarpSize];
      logits[j] = sum * factor;
    }
    expert = choose_by_logits(call.gate, token, logits);
    if (lane < call.route.top_k) memory.choices.note(token, expert);
  }
  __syncthreads();
  if (warp == kWarps - 1) memory.choices.place(call.route);
  __syncthreads();
  if (chooses && lane < call.route.top_k) memory.choices.store(call.route, token, lane, expert);
}

template <class W, int kRowsAtOnce>
__global__ void __launch_bounds__(kThreads, 1) norm_and_route(NormRouteCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(16) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<NormRouteMemory*>(shared_bytes);
  arrive_at_cluster();
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize,
            lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const auto block = static_cast<int>(block_of_cluster());
  const RouteSlice slice(call.norm.x.width, block, kBlocks);
  RouterPart router;
  router.load(call.router, slice, warp, lane);
  float weights[kGroups][N] = {};
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    if (g < slice.groups)
      load_pack(static_cast<const W*>(call.norm.weight) + slice.column(g) + lane * N, N, true, weights[g]);
  }
  if (block == 0) memory.choices.clear(call.route.num_experts);
  const int live = static_cast<int>(live_count(call.norm.live_rows, call.norm.x.outer));
  wait_for_previous_kernel();

  const bool has_row = warp < live;
  RowSlice row = {};
  float squares = 0.0f;
  if (has_row) {
    squares = row.load(call.norm, slice, warp, lane);
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      float weighted[N];
#pragma unroll
      for (int i = 0; i < N; ++i) weighted[i] = row.values[g][i] * weights[g][i];
      store_pack(weighted, memory.rows[warp] + g * kRouteGroup + lane * N, N, true);
    }
  }
  wait_for_cluster();
  if (has_row && lane < kBlocks)
    store_in_block(&memory.squares[block][warp], static_cast<uint32_t>(lane), squares);
  __syncthreads();
#pragma unroll 1
  for (int first = 0; first < live; first += kRowsAtOnce) {
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const float sum = router.product(memory.rows[first + r], lane);
      if (lane % 8 == 0)
        store_in_block(&memory.logits[block][first + r][warp * kWarpExperts + lane / 8], 0, sum);
    }
  }
  meet_cluster();
  if (has_row) {
    const float factor = norm_factor(memory, call.norm, warp);
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      if (g >= slice.groups) break;
      scale_pack(factor, weights[g], row.values[g]);
      quantize_group_of_128(row.values[g], call.out, warp, slice.column(g) + lane * N, true);
    }
  }
  if (block == 0) choose_and_group(call, memory, live, warp, lane);
#endif
}

bool has_rows_in_packs(const NormRouteCall& call) {
  return has_whole_packs<float, N>(call.norm.x) && has_whole_packs<float, N>(call.norm.residual);
}

// Small tiles leave the registers for two blocks of a multiprocessor; of many tokens, larger ones read the
// router less often.
template <class W>
void launch_tiles(const NormRouteCall& call, bool in_packs, gpuStream_t stream) {
  using Small = RouteTileShape<24, 2>;
  using Large = RouteTileShape<32, 1>;
  static_assert(Small::kMaxWidth == kMaxNormRouteWidth && Small::kMaxExperts == kMaxNormRouteExperts,
                "a call that comes here fits into tiles");
  constexpr int64_t kManyTokens = 1024;
  const auto launch = !in_packs                          ? launch_norm_and_route_tiles<Small, W, false>
                      : call.norm.x.outer <= kManyTokens ? launch_norm_and_route_tiles<Small, W, true>
                                                         : launch_norm_and_route_tiles<Large, W, true>;
  launch(call, stream);
}

}  // namespace

void launch_norm_route_fp8_sm90(const NormRouteCall& call, gpuStream_t stream) {
  const int64_t tokens = call.norm.x.outer;
  const bool in_packs = has_rows_in_packs(call);
  const bool by_one_cluster =
      tokens <= kMaxTokens && in_packs && is_aligned(call.norm.weight, sizeof(float) * N);
  with_float_type(call.norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    if (!by_one_cluster) return launch_tiles<W>(call, in_packs, stream);
    const ClusterLaunch launch = {kBlocks, kThreads, sizeof(NormRouteMemory), stream};
    launch.run(tokens == 1 ? norm_and_route<W, 1> : norm_and_route<W, 4>, 1, call);
  });
  if (!by_one_cluster) launch_moe_route(call.route, stream);
}

}  // namespace musaic
