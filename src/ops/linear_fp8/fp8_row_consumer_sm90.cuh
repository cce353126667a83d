#pragma once

#include "ops/linear_fp8/fp8_tile_walk_sm90.cuh"

namespace musaic {

// A warpgroup that multiplies 64 rows of a block's tiles with all of their columns: what such consumers
// share. `Consumer`, which derives from it, has make_tile(call, tile).
template <class Consumer, class Shape, int kProducts>
class Fp8RowConsumer {
 public:
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kConsumers;

  // `index` is the warpgroup's among those that multiply.
  __device__ Fp8RowConsumer(const Fp8Work<kProducts>& work, Fp8TileMemory<Shape>& memory, int index)
      : work_(work), memory_(memory), first_row_(index * kWarpgroupRows) {}

  __device__ void run() {
    Fp8TileWalk<Shape, kProducts> walk(work_, memory_);
    for (Fp8Tile tile; walk.next(tile);) {
      const Fp8Tiles& call = work_.product[kProducts == 1 ? 0 : tile.product];
      if (first_row_ >= tile.rows) {
#pragma unroll 1
        for (int group = 0; group < call.groups; ++group) skip_group();
        continue;
      }
      static_cast<Consumer*>(this)->make_tile(call, tile);
    }
  }

 protected:
  // The product of the warpgroup's rows of a group with those weights of the stage.
  template <int kSums>
  __device__ void multiply(const void* weights, float (&product)[kSums]) {
    const uint64_t left = swizzled_rows(shared_address(&memory_.stages[read_.stage].q[first_row_]));
    const uint64_t right = swizzled_rows(shared_address(weights));
    keep_in_place(product);
    start_fp8_group<2 * kSums>(left, right, product);
    wait_for_products<0>(product);
  }

  // The stage was read.
  __device__ void release() {
    __syncwarp();
    if (threadIdx.x % kWarpSize == 0) memory_.empty[read_.stage].arrive();
    read_.advance();
  }

  const Fp8Work<kProducts>& work_;
  Fp8TileMemory<Shape>& memory_;
  const int first_row_;  // in the tile
  RingPlace<Shape::kStages> read_;

 private:
  __device__ void skip_group() {
    memory_.full[read_.stage].wait(read_.parity);
    release();
  }
};

}  // namespace musaic
