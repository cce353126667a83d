#pragma once

#include "ops/mla_attention/mla_tiles_sm90.cuh"

// The tiles that are made ahead. A block has latents of 64 positions in FP8, a ring of two stages through
// which kv_b passes, 128 rows a stage, and two warpgroups that multiply, each by half of them.
namespace musaic {

inline constexpr int kStageColumns = 2 * kWeightRows;
inline constexpr int kExpandStages = 2;
inline constexpr int kExpandConsumers = 2 * kWarpgroupSize;
inline constexpr int kExpandThreads = kExpandConsumers + kWarpSize;

struct ExpandMemory {
  uint8_t weights[kExpandStages][kLatentGroups][kStageColumns][kSwizzledRow];
  LatentRows latents;
  Barrier full[kExpandStages];
  Barrier empty[kExpandStages];
};

struct ExpandWork {
  TensorMap kv_b;  // in tiles of kWeightRows
  MlaAttentionCall call;
  int max_tiles;
};

// The block's share of positions times stages of kv_b, positions by positions.
struct ExpandShare {
  static constexpr int kParts = kMlaWideTile / kLatentRows;  // of a tile
  int stages_a_part;
  int first;
  int last;

  __device__ explicit ExpandShare(const ExpandWork& work)
      : stages_a_part(work.call.heads * kHeadColumns / kStageColumns) {
    const MlaCacheGpu& cache = work.call.cache;
    const int tiles = min(work.max_tiles, sum_before(*cache.num_sequences, WideTilesOfSequence{cache}));
    const int64_t items = static_cast<int64_t>(tiles) * kParts * stages_a_part;
    first = static_cast<int>(items * blockIdx.x / gridDim.x);
    last = static_cast<int>(items * (blockIdx.x + 1) / gridDim.x);
  }
};

__device__ inline void copy_weights(const ExpandWork& work, const ExpandShare& share, ExpandMemory& memory) {
  RingPlace<kExpandStages> place;
  for (int item = share.first; item < share.last; ++item) {
    const int column = item % share.stages_a_part * kStageColumns;
    Barrier& full = memory.full[place.stage];
    memory.empty[place.stage].wait(place.parity ^ 1);
    full.arrive_and_expect(sizeof(memory.weights[0]));
#pragma unroll 1
    for (int i = 0; i < kLatentGroups * kStageColumns / kWeightRows; ++i) {
      const int group = i / 2, row = i % 2 * kWeightRows;
      copy_tile(shared_address(&memory.weights[place.stage][group][row]), work.kv_b, group * kSwizzledRow,
                column + row, 0, full);
    }
    place.advance();
  }
}

__device__ inline void expand(const ExpandWork& work, const ExpandShare& share, ExpandMemory& memory) {
  constexpr int kMeeting = 1;
  const MlaAttentionCall& call = work.call;
  const WideTiles tiles = {call.workspace, call.heads};
  const int thread = static_cast<int>(threadIdx.x), warpgroup = thread / kWarpgroupSize;
  const LatentLoader<kExpandConsumers, 4> loader = {call.cache, memory.latents, thread};
  const auto locate = [&](int part) {
    int sequence = 0, within = 0;
    find_counted(*call.cache.num_sequences, part / share.kParts, WideTilesOfSequence{call.cache}, &sequence,
                 &within);
    loader.locate(sequence, within * kMlaWideTile + part % share.kParts * kLatentRows);
    meet<kExpandConsumers>(kMeeting);
  };
  int located = share.first / share.stages_a_part, loaded = -1;
  if (share.first < share.last) locate(located);
  wait_for_previous_kernel();
  RingPlace<kExpandStages> place;
  for (int item = share.first; item < share.last; ++item) {
    const int part = item / share.stages_a_part, stage = item % share.stages_a_part;
    const int tile = part / share.kParts, tile_row = part % share.kParts * kLatentRows;
    if (part != loaded) {
      meet<kExpandConsumers>(kMeeting);  // nobody reads the latents before these
      if (part != located) locate(part);
      loader.quantize();
      publish_to_matrix_units();
      meet<kExpandConsumers>(kMeeting);
      loaded = located = part;
    }
    if (stage == 0) loader.copy_rope(tiles.rope(tile), tile_row);
    const BlockScales scales(call.kv_b, stage * kStageColumns);
    float sum[kWeightRows / 2];
    memory.full[place.stage].wait(place.parity);
    multiply_latents<kStageColumns * kSwizzledRow>(
        memory.latents, &memory.weights[place.stage][0][warpgroup * kWeightRows][0], scales, sum);
    __syncwarp();
    if (thread % kWarpSize == 0) memory.empty[place.stage].arrive();
    place.advance();
    store_columns(sum, tile_row, tiles.head(tile, stage / 2)[stage % 2 * 2 + warpgroup]);
  }
}

static __global__ void __launch_bounds__(kExpandThreads, 1)
    expand_tiles_sm90(const __grid_constant__ ExpandWork work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<ExpandMemory*>(shared_bytes);
  if (threadIdx.x == 0) {
    prefetch_map(work.kv_b);
    for (int s = 0; s < kExpandStages; ++s) {
      memory.full[s].init(1);
      memory.empty[s].init(kExpandConsumers / kWarpSize);
    }
    publish_barriers();
  }
  __syncthreads();
  const ExpandShare share(work);
  if (threadIdx.x < kExpandConsumers) {
    expand(work, share, memory);
  } else {
    if (threadIdx.x == kExpandConsumers) copy_weights(work, share, memory);
    wait_for_previous_kernel();
  }
#endif
}

inline void launch_expand(const ExpandWork& work, gpuStream_t stream) {
  launch_kernel_with_shared(expand_tiles_sm90, dim3(static_cast<unsigned>(num_multiprocessors())),
                            dim3(kExpandThreads), sizeof(ExpandMemory), stream, work);
}

}  // namespace musaic
