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

// The thread that has tiles copied.
template <class Shape>
class Bf16Producer {
 public:
  __device__ Bf16Producer(const LinearTileCall& call, const Bf16Maps& maps, Bf16TileMemory<Shape>& memory)
      : call_(call),
        maps_(maps),
        memory_(memory),
        block_(static_cast<int>(block_of_cluster())),
        num_steps_(num_steps_of(call)) {}

  __device__ void run() {
    Bf16TileWalk<Shape> walk(call_);
    // Weights may be read before the kernel ahead has ended.
    const int ahead = num_steps_ < Shape::kStages ? num_steps_ : Shape::kStages;
    for (int step = 0; step < ahead; ++step) copy_weight(walk, step, step);
    wait_for_previous_kernel();
    const int rows = static_cast<int>(live_count(call_.linear.live_rows, call_.linear.x.outer));
    for (int first = 0; walk.is_there(); walk.advance(rows), first += num_steps_) {
      for (int step = 0; step < num_steps_; ++step) {
        const int place = first + step;
        if (place >= ahead) {
          memory_.empty[place % Shape::kStages].wait(Shape::parity(place) ^ 1);
          copy_weight(walk, step, place);
        }
        copy_x(walk, step, place);
      }
    }
  }

 private:
  static constexpr int kMyXRows = kWarpgroupRows / Shape::kColumnBlocks;
  static constexpr int kMyWeightRows = Shape::kHalfColumns / Shape::kRowBlocks;

  // Announces all bytes of the stage.
  __device__ void copy_weight(const Bf16TileWalk<Shape>& walk, int step, int place) {
    constexpr int kMask = Shape::kRowBlocks == 1 ? 1 : 1 | 1 << Shape::kColumnBlocks;
    const int row_block = block_ / Shape::kColumnBlocks, column_block = block_ % Shape::kColumnBlocks;
    Bf16Stage<Shape>& stage = memory_.stages[place % Shape::kStages];
    Barrier& full = memory_.full[place % Shape::kStages];
    full.arrive_and_expect(sizeof(stage));
    const int mine = row_block * kMyWeightRows;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      copy_tile_to_blocks(shared_address(&stage.weight[half * Shape::kHalfColumns + mine]), maps_.weight,
                          step * kSwizzledRow, walk.weight_row(half) + mine, 0, full,
                          static_cast<uint16_t>(kMask << column_block));
  }
  __device__ void copy_x(const Bf16TileWalk<Shape>& walk, int step, int place) {
    constexpr int kMask = (1 << Shape::kColumnBlocks) - 1;
    const int row_block = block_ / Shape::kColumnBlocks, column_block = block_ % Shape::kColumnBlocks;
    Bf16Stage<Shape>& stage = memory_.stages[place % Shape::kStages];
    Barrier& full = memory_.full[place % Shape::kStages];
    const int mine = column_block * kMyXRows;
#pragma unroll
    for (int part = 0; part < 2; ++part)
      copy_tile_to_blocks(shared_address(&stage.x[part][mine]), maps_.x, (2 * step + part) * kSwizzledRow,
                          walk.row() + mine, 0, full,
                          static_cast<uint16_t>(kMask << row_block * Shape::kColumnBlocks));
  }

  const LinearTileCall& call_;
  const Bf16Maps& maps_;
  Bf16TileMemory<Shape>& memory_;
  const int block_;  // of the cluster
  const int num_steps_;
};

__device__ inline float2 norm_weights_at(const LinearTileCall& call, int column) {
  if (column >= call.linear.x.width) return make_float2(0, 0);
  return make_float2(bias_value(call.norm_weight, call.norm_dtype, column),
                     bias_value(call.norm_weight, call.norm_dtype, column + 1));
}

// The warp that brings the norm's weights of every step, in float32.
template <class Shape>
__device__ void bring_norm_weights(const LinearTileCall& call, Bf16TileMemory<Shape>& memory) {
  constexpr int kAtOnce = 4;  // steps
  const int num_steps = num_steps_of(call), lane = static_cast<int>(threadIdx.x) % kWarpSize;
  Bf16TileWalk<Shape> walk(call);
  for (int first = 0; walk.is_there(); first += num_steps) {
    for (int begin = 0; begin < num_steps; begin += kAtOnce) {
      float2 weights[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        weights[i] = norm_weights_at(call, (begin + i) * kStepValues + 2 * lane);
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int place = first + begin + i, stage = place % Shape::kStages;
        if (begin + i >= num_steps) break;
        memory.empty[stage].wait(Shape::parity(place) ^ 1);
        *reinterpret_cast<float2*>(&memory.norm_weights[stage][2 * lane]) = weights[i];
        __syncwarp();
        if (lane == 0) memory.full[stage].arrive();
      }
    }
    wait_for_previous_kernel();
    walk.advance(static_cast<int>(live_count(call.linear.live_rows, call.linear.x.outer)));
  }
}

template <class Shape, bool kNorm>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    multiply_bf16_tiles(const __grid_constant__ Bf16Maps maps, const __grid_constant__ LinearTileCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;  // of the 65,536 of a multiprocessor
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Bf16TileMemory<Shape>*>(shared_bytes);
  if (threadIdx.x == 0) {
    prefetch_map(maps.weight);
    prefetch_map(maps.x);
    for (int s = 0; s < Shape::kStages; ++s) {
      memory.full[s].init(kNorm ? 2 : 1);  // the bringer of tiles, that of the norm's weights
      memory.empty[s].init(Bf16Consumer<Shape, kNorm>::kArrivals);
    }
    publish_barriers();
  }
  meet_cluster();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    shrink_registers<kProducerRegisters>();
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    if (kNorm && warp == 1) {
      bring_norm_weights<Shape>(call, memory);
    } else if (threadIdx.x == 0) {
      Bf16Producer<Shape>(call, maps, memory).run();
    } else {
      return;
    }
  } else {
    grow_registers<kConsumerRegisters>();
    wait_for_previous_kernel();
    Bf16Consumer<Shape, kNorm>(call, memory, warpgroup - 1).run();
  }
  meet_cluster();  // no block ends while others bring it tiles or tell it of their stages
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

// False: the driver cannot map the weight or the rows.
template <class Shape, bool kNorm>
bool launch_bf16_tiles(const LinearTileCall& call, gpuStream_t stream) {
  const DeviceRows& x = call.linear.x;
  Bf16Maps maps;
  const ByteRows weight = {call.linear.weight, 1, weight_rows_of(call), call.linear.weight_row_bytes,
                           call.linear.weight_row_bytes};
  const ByteRows rows = {x.data, 1, x.outer, x.width * 4, x.outer_stride * 4};
  if (!map_byte_rows(maps.weight, weight, Shape::kHalfColumns / Shape::kRowBlocks) ||
      !map_byte_rows(maps.x, rows, kWarpgroupRows / Shape::kColumnBlocks))
    return false;
  const int clusters =
      std::min(Bf16TileWalk<Shape>::num_cluster_tiles(call), active_bf16_clusters<Shape, kNorm>());
  bf16_launch<Shape>(stream).run(multiply_bf16_tiles<Shape, kNorm>, static_cast<unsigned>(clusters), maps,
                                 call);
  return true;
}

}  // namespace musaic
