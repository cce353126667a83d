#pragma once

#include "ops/mla_attention/mla_tiles_sm90.cuh"

// The tiles that are made ahead. A block has latents of 64 positions in FP8, a ring of stages through which
// kv_b passes, 64 rows a stage, and four warpgroups that multiply, each by every fourth stage.
namespace musaic {

inline constexpr int kExpandStages = 5;
inline constexpr int kExpandWarpgroups = 4;  // that multiply
inline constexpr int kExpandConsumers = kExpandWarpgroups * kWarpgroupSize;
inline constexpr int kExpandThreads = kExpandConsumers + kWarpSize;

struct ExpandMemory {
  uint8_t weights[kExpandStages][kLatentGroups][kWeightRows][kSwizzledRow];
  LatentRows latents;
  Barrier full[kExpandStages];
  Barrier empty[kExpandStages];
};

struct ExpandWork {
  TensorMap kv_b;  // in tiles of kWeightRows
  MlaAttentionCall call;
  int max_tiles;
};

// The block's share of positions times stages of kv_b, positions by positions. Blocks keep to one part where
// that does not take longer, since another part's latents are loaded and rounded while nothing is multiplied.
struct ExpandShare {
  static constexpr int kParts = kMlaWideTile / kLatentRows;  // of a tile
  static constexpr int kPartStages = 4;                      // that another part takes as long as
  int stages_a_part;
  int first;
  int last;

  __device__ explicit ExpandShare(const ExpandWork& work)
      : stages_a_part(work.call.heads * kHeadColumns / kWeightRows) {
    const MlaCacheGpu& cache = work.call.cache;
    const int tiles = min(work.max_tiles, sum_before(*cache.num_sequences, WideTilesOfSequence{cache}));
    const int parts = tiles * kParts, blocks = static_cast<int>(gridDim.x);
    const int items = parts * stages_a_part, blocks_a_part = parts > 0 ? blocks / parts : 0;
    const int longest = (items + blocks - 1) / blocks + kPartStages;
    if (blocks_a_part * longest >= stages_a_part) {
      keep_to_part(static_cast<int>(blockIdx.x), parts, blocks_a_part);
    } else {
      first = static_cast<int>(int64_t{items} * blockIdx.x / blocks);
      last = static_cast<int>(int64_t{items} * (blockIdx.x + 1) / blocks);
    }
  }

 private:
  __device__ void keep_to_part(int block, int parts, int blocks_a_part) {
    const int part = block / blocks_a_part, within = block % blocks_a_part;
    const int begin = part * stages_a_part;
    first = begin + stages_a_part * within / blocks_a_part;
    last = part < parts ? begin + stages_a_part * (within + 1) / blocks_a_part : first;
  }
};

__device__ inline void copy_weights(const ExpandWork& work, const ExpandShare& share, ExpandMemory& memory) {
  RingPlace<kExpandStages> place;
  for (int item = share.first; item < share.last; ++item) {
    const int column = item % share.stages_a_part * kWeightRows;
    Barrier& full = memory.full[place.stage];
    memory.empty[place.stage].wait(place.parity ^ 1);
    full.arrive_and_expect(sizeof(memory.weights[0]));
#pragma unroll 1
    for (int group = 0; group < kLatentGroups; ++group)
      copy_tile(shared_address(&memory.weights[place.stage][group]), work.kv_b, group * kSwizzledRow, column,
                0, full);
    place.advance();
  }
}

__device__ inline void expand(const ExpandWork& work, const ExpandShare& share, ExpandMemory& memory) {
  constexpr int kMeeting = 1, kHeadStages = kHeadColumns / kWeightRows;
  const MlaAttentionCall& call = work.call;
  const WideTiles tiles = {call.workspace, call.heads};
  const int thread = static_cast<int>(threadIdx.x);
  const int warpgroup = __shfl_sync(kAllLanes, thread / kWarpgroupSize, 0);
  // The remainder tells the compiler how many loops there are.
  const LatentLoader<kExpandConsumers, 2> loader = {call.cache, memory.latents, thread % kExpandConsumers};
  const auto locate = [&](int part) {
    int sequence = 0, within = 0;
    find_counted(*call.cache.num_sequences, part / share.kParts, WideTilesOfSequence{call.cache}, &sequence,
                 &within);
    loader.locate(sequence, within * kMlaWideTile + part % share.kParts * kLatentRows);
    meet<kExpandConsumers>(kMeeting);
  };
  int located = share.first / share.stages_a_part;
  if (share.first < share.last) locate(located);
  wait_for_previous_kernel();
  RingPlace<kExpandStages> place;
  place.advance(warpgroup);
  int item = share.first + warpgroup;
  for (int begin = share.first; begin < share.last;) {
    const int part = begin / share.stages_a_part, end = min(share.last, (part + 1) * share.stages_a_part);
    const int tile = part / share.kParts, tile_row = part % share.kParts * kLatentRows;
    if (begin != share.first) meet<kExpandConsumers>(kMeeting);  // nobody reads the latents before these
    if (part != located) locate(part);
    loader.quantize();
    publish_to_matrix_units();
    meet<kExpandConsumers>(kMeeting);
    if (begin % share.stages_a_part == 0) loader.copy_rope(tiles.rope(tile), tile_row);
    for (; item < end; item += kExpandWarpgroups) {
      const int stage = item % share.stages_a_part;
      const BlockScales scales(call.kv_b, stage * kWeightRows);
      float sum[kWeightRows / 2];
      wait_for_turn(memory.empty, memory.full, place);
      multiply_latents<sizeof(memory.weights[0][0])>(memory.latents, &memory.weights[place.stage][0][0][0],
                                                     scales, sum);
      __syncwarp();
      if (thread % kWarpSize == 0) memory.empty[place.stage].arrive();
      place.advance(kExpandWarpgroups);
      store_columns(sum, tile_row, tiles.head(tile, stage / kHeadStages)[stage % kHeadStages]);
    }
    located = part;
    begin = end;
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
      memory.empty[s].init(kWarpgroupSize / kWarpSize);
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
