#pragma once

#include <algorithm>

#include "gpu_launch.cuh"
#include "ops/linear/bf16_wide_consumer_sm90.cuh"
#include "ops/linear/round_rows_sm90.h"

// Calls of LinearTileCall with many rows, which are rounded ahead: both factors are read by the matrix units
// as they were copied, and tiles are as large as the sums' registers allow. One thread has x copied into a
// ring of stages, another one the weight.
namespace musaic {

template <class Shape>
class Bf16WideProducer {
 public:
  __device__ Bf16WideProducer(const LinearTileCall& call, int rows, Bf16WideMemory<Shape>& memory)
      : call_(call), rows_(rows), memory_(memory), block_(static_cast<int>(block_of_cluster())) {}

  // Of a block that has rows of its own none of which is there, nothing.
  __device__ void bring_x(const TensorMap& x) const {
    constexpr bool kIsShared = Shape::kRowBlocks == 1;
    const int part = kIsShared ? block_ * Shape::kXRows : 0;
    wait_for_previous_kernel();
    for_steps([&](const Bf16TileWalk<Shape>& walk, int step, Stage& stage, Barrier& full) {
      if (!kIsShared && walk.row() >= rows_) {
        full.arrive();
        return;
      }
      full.arrive_and_expect(sizeof(stage.x));
      copy<kIsShared>(stage.x[part], x, step, walk.row() + part, 0, full);
    });
  }
  // It does not wait for the kernel ahead.
  __device__ void bring_weight(const TensorMap& weight) const {
    constexpr bool kIsShared = Shape::kRowBlocks == 2;
    const int half = kIsShared ? block_ : 0, part = half * Shape::kHalfColumns;
    for_steps([&](const Bf16TileWalk<Shape>& walk, int step, Stage& stage, Barrier& full) {
      full.arrive_and_expect(sizeof(stage.weight));
      const int row = walk.column() + (call_.swiglu ? 0 : part);
      copy<kIsShared>(stage.weight[part], weight, step, row, call_.swiglu ? half : 0, full);
    });
  }

 private:
  using Stage = Bf16WideStage<Shape>;

  // Calls `use` for every step of k of every tile when its stage is free.
  template <class Use>
  __device__ void for_steps(Use use) const {
    const int num_steps = num_steps_of(call_);
    RingPlace<Shape::kStages> place = {0, 1};
    Bf16TileWalk<Shape> walk(call_);
    for (; walk.is_there(); walk.advance(rows_)) {
      for (int step = 0; step < num_steps; ++step, place.advance()) {
        memory_.empty[place.stage].wait(place.parity);
        use(walk, step, memory_.stages[place.stage], memory_.full[place.stage]);
      }
    }
  }
  template <bool kIsShared>
  static __device__ void copy(const uint8_t* to, const TensorMap& map, int step, int row, int plane,
                              Barrier& full) {
    constexpr uint16_t kBothBlocks = 3;
    if constexpr (kIsShared)
      copy_tile_to_blocks(shared_address(to), map, step * kSwizzledRow, row, plane, full, kBothBlocks);
    else
      copy_tile(shared_address(to), map, step * kSwizzledRow, row, plane, full);
  }

  const LinearTileCall& call_;
  const int rows_;  // live ones
  Bf16WideMemory<Shape>& memory_;
  const int block_;
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    multiply_wide_bf16_tiles(const __grid_constant__ Bf16Maps maps,
                             const __grid_constant__ LinearTileCall call, const float* factors) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  static_assert(sizeof(Bf16WideMemory<Shape>) <= kMostSharedBytes, "a block would not start");
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Bf16WideMemory<Shape>*>(shared_bytes);
  const int rows = static_cast<int>(live_count(call.linear.live_rows, call.linear.x.outer));
  if (threadIdx.x == 0) {
    prefetch_map(maps.weight);
    prefetch_map(maps.x);
    for (int s = 0; s < Shape::kStages; ++s) {
      memory.full[s].init(2);  // of who brings x and the weight
      memory.empty[s].init(Bf16WideConsumer<Shape>::kArrivals);
    }
    publish_barriers();
  }
  meet_cluster();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    shrink_registers<Shape::kProducerRegisters>();
    const Bf16WideProducer<Shape> producer(call, rows, memory);
    if (threadIdx.x == 0)
      producer.bring_x(maps.x);
    else if (threadIdx.x == kWarpSize)
      producer.bring_weight(maps.weight);
  } else {
    grow_registers<Shape::kConsumerRegisters>();
    wait_for_previous_kernel();
    Bf16WideConsumer<Shape>(call, rows, factors, memory, warpgroup - 1).run();
  }
#endif
}

template <class Shape>
ClusterLaunch wide_bf16_launch(gpuStream_t stream) {
  return {Shape::kBlocks, Shape::kThreads, sizeof(Bf16WideMemory<Shape>), stream};
}

// How many clusters the device runs at once; asked of the driver once.
template <class Shape>
int active_wide_bf16_clusters() {
  static const int count = wide_bf16_launch<Shape>(nullptr).max_active(multiply_wide_bf16_tiles<Shape>);
  return count;
}

// REQUIRES: call.rounded. False: the driver cannot map the weight or the rows.
template <class Shape>
bool launch_wide_bf16_tiles(const LinearTileCall& call, gpuStream_t stream) {
  const DeviceRows& x = call.linear.x;
  const RoundedRows rounded = RoundedRows::of(call);
  Bf16Maps maps;
  if (!map_weight_halves<Shape>(maps.weight, call) ||
      !map_byte_rows(maps.x, rounded.pairs, 1, x.outer, 2 * x.width, Shape::kXRows))
    return false;
  launch_rounding(call, rounded, stream);
  const int clusters =
      std::min(Bf16TileWalk<Shape>::num_cluster_tiles(call), active_wide_bf16_clusters<Shape>());
  wide_bf16_launch<Shape>(stream).run(multiply_wide_bf16_tiles<Shape>, static_cast<unsigned>(clusters), maps,
                                      call, static_cast<const float*>(rounded.factors));
  return true;
}

}  // namespace musaic
