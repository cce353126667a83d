#pragma once

#include <algorithm>

#include "gpu_launch.cuh"
#include "ops/linear/bf16_consumer_sm90.cuh"

// Calls of LinearTileCall by Hopper's matrix units: tiles of 64 rows of x and kColumns rows of the weight.
// One thread of a block has them copied, step after step of k, into a ring of stages; two warpgroups
// multiply.
//
// Reading tiles from the L2 cache takes longer than multiplying them. So blocks form clusters, whose tiles
// are neighbours, and each block brings a part of every tile to all blocks that want it.
namespace musaic {

// The thread that has the block's part of x copied, for its neighbours of the same rows too.
template <class Shape>
__device__ void bring_x(const LinearTileCall& call, int rows, const TensorMap& x,
                        Bf16TileMemory<Shape>& memory) {
  constexpr int kMask = (1 << Shape::kColumnBlocks) - 1;
  const int block = static_cast<int>(block_of_cluster()), part = block % Shape::kColumnBlocks;
  const auto blocks = static_cast<uint16_t>(kMask << (block - part));
  const int num_steps = num_steps_of(call);
  wait_for_previous_kernel();
  Bf16TileWalk<Shape> walk(call);
  for (int first = 0; walk.is_there(); walk.advance(rows), first += num_steps) {
    const int row = walk.row() + part * Shape::kXRows;
    for (int step = 0; step < num_steps; ++step) {
      const int place = first + step, stage = place % Shape::kStages;
      Barrier& full = memory.full[stage];
      memory.empty[stage].wait(Shape::parity(place) ^ 1);
      full.arrive_and_expect(sizeof(memory.stages[stage].x));
      copy_tile_to_blocks(shared_address(&memory.stages[stage].x[part]), x, 0, row, kXPlanes * step, full,
                          blocks);
    }
  }
}

// The same for the weight, of which it may bring a half. It does not wait for the kernel ahead.
template <class Shape>
__device__ void bring_weight(const LinearTileCall& call, int rows, const TensorMap& weight,
                             Bf16TileMemory<Shape>& memory) {
  constexpr int kMask = Shape::kRowBlocks == 1 ? 1 : 1 | 1 << Shape::kColumnBlocks;
  const int block = static_cast<int>(block_of_cluster());
  const int half = block / Shape::kColumnBlocks;  // 0 where it brings both
  const auto blocks = static_cast<uint16_t>(kMask << block % Shape::kColumnBlocks);
  const int num_steps = num_steps_of(call);
  Bf16TileWalk<Shape> walk(call);
  for (int first = 0; walk.is_there(); walk.advance(rows), first += num_steps) {
    const int row = walk.column() + (call.swiglu ? 0 : half * Shape::kHalfColumns);
    for (int step = 0; step < num_steps; ++step) {
      const int place = first + step, stage = place % Shape::kStages;
      Barrier& full = memory.full[stage];
      memory.empty[stage].wait(Shape::parity(place) ^ 1);
      full.arrive_and_expect(sizeof(memory.stages[stage].weight));
      copy_tile_to_blocks(shared_address(&memory.stages[stage].weight[half * Shape::kHalfColumns]), weight,
                          step * kSwizzledRow, row, call.swiglu ? half : 0, full, blocks);
    }
  }
}

__device__ inline float2 norm_weights_at(const LinearTileCall& call, int column) {
  if (column >= call.linear.x.width) return make_float2(0, 0);
  return make_float2(bias_value(call.norm_weight, call.norm_dtype, column),
                     bias_value(call.norm_weight, call.norm_dtype, column + 1));
}

// The warp that brings the norm's weights of every step, in float32.
template <class Shape>
__device__ void bring_norm_weights(const LinearTileCall& call, int rows, Bf16TileMemory<Shape>& memory) {
  constexpr int kAtOnce = 4;  // steps
  const int num_steps = num_steps_of(call), lane = static_cast<int>(threadIdx.x) % kWarpSize;
  Bf16TileWalk<Shape> walk(call);
  for (int first = 0; walk.is_there(); walk.advance(rows), first += num_steps) {
    for (int begin = 0; begin < num_steps; begin += kAtOnce) {
      float2 weights[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        weights[i] = norm_weights_at(call, (begin + i) * kStepValues + 2 * lane);
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int place = first + begin + i, stage = place % Shape::kStages;
        if (begin + i >= num_steps) break;
        memory.norm_read[stage].wait(Shape::parity(place) ^ 1);
        *reinterpret_cast<float2*>(&memory.norm_weights[stage][2 * lane]) = weights[i];
        memory.full[stage].arrive();
      }
    }
  }
}

template <class Shape, bool kNorm>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    multiply_bf16_tiles(const __grid_constant__ Bf16Maps maps, const __grid_constant__ LinearTileCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  static_assert(sizeof(Bf16TileMemory<Shape>) <= kMostSharedBytes, "a block would not start");
  constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;  // of the 65,536 of a multiprocessor
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Bf16TileMemory<Shape>*>(shared_bytes);
  const int rows = static_cast<int>(live_count(call.linear.live_rows, call.linear.x.outer));
  if (threadIdx.x == 0) {
    prefetch_map(maps.weight);
    prefetch_map(maps.x);
    for (int s = 0; s < Shape::kStages; ++s) {
      memory.full[s].init(kNorm ? 2 + kWarpSize : 2);  // of who brings x, the weight, the norm's weights
      memory.empty[s].init(Bf16Consumer<Shape, kNorm>::kArrivals);
      if (kNorm) memory.norm_read[s].init(kWarpgroupSize);
    }
    publish_barriers();
  }
  meet_cluster();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    shrink_registers<kProducerRegisters>();
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    const bool is_first_lane = threadIdx.x % kWarpSize == 0;
    if (warp == 0 && is_first_lane) {
      bring_x<Shape>(call, rows, maps.x, memory);
    } else if (warp == 1 && is_first_lane) {
      bring_weight<Shape>(call, rows, maps.weight, memory);
    } else if (kNorm && warp == 2) {
      bring_norm_weights<Shape>(call, rows, memory);
    }
  } else {
    grow_registers<kConsumerRegisters>();
    wait_for_previous_kernel();
    Bf16Consumer<Shape, kNorm>(call, rows, memory, warpgroup - 1).run();
  }
#endif
}

template <class Shape>
ClusterLaunch bf16_launch(gpuStream_t stream) {
  return {Shape::kBlocks, Shape::kThreads, sizeof(Bf16TileMemory<Shape>), stream};
}

// How many clusters the device runs at once; asked of the driver once.
template <class Shape, bool kNorm>
int active_bf16_clusters() {
  static const int count = bf16_launch<Shape>(nullptr).max_active(multiply_bf16_tiles<Shape, kNorm>);
  return count;
}

// 128 bytes of all rows are a plane.
inline ByteRows x_bytes_of(const DeviceRows& x) {
  return {x.data, x.width / kXPlaneValues, x.outer, kSwizzledRow, kSwizzledRow, x.outer_stride * 4};
}

// False: the driver cannot map the weight or the rows.
template <class Shape, bool kNorm>
bool launch_bf16_tiles(const LinearTileCall& call, gpuStream_t stream) {
  Bf16Maps maps;
  if (!map_weight_halves<Shape>(maps.weight, call) ||
      !map_byte_rows(maps.x, x_bytes_of(call.linear.x), kXPlanes, Shape::kXRows))
    return false;
  const int clusters =
      std::min(Bf16TileWalk<Shape>::num_cluster_tiles(call), active_bf16_clusters<Shape, kNorm>());
  bf16_launch<Shape>(stream).run(multiply_bf16_tiles<Shape, kNorm>, static_cast<unsigned>(clusters), maps,
                                 call);
  return true;
}

}  // namespace musaic
