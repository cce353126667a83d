#pragma once

#include "ops/linear/bf16_tile_shape_sm90.cuh"

namespace musaic {

// What the threads of multiply_wide_bf16_tiles share. A block's tile has 64 rows of x for each of
// kWarpgroups and 128 of the weight: two halves, as in Bf16TileShape. Both blocks of a cluster want the same
// part of the weight, or with kRowBlocks = 1 the same rows of x; each brings half of it to both.
template <int kWarpgroups_, int kRowBlocks_, int kStages_>
struct Bf16WideShape {
  static constexpr int kWarpgroups = kWarpgroups_;  // that multiply
  static constexpr int kBlocks = 2;
  static constexpr int kRowBlocks = kRowBlocks_;
  static constexpr int kColumnBlocks = kBlocks / kRowBlocks;
  static constexpr int kRows = kWarpgroups * kWarpgroupRows;
  static constexpr int kColumns = 128;
  static constexpr int kHalfColumns = kColumns / 2;
  static constexpr int kXRows = kRows / kColumnBlocks;  // that a block brings
  static constexpr int kStages = kStages_;
  static constexpr int kThreads = kWarpgroupSize * (1 + kWarpgroups);
  static constexpr int kSums = kColumns / 2;  // a lane's of the even or odd steps
  // Of the 65,536 of a multiprocessor.
  static constexpr int kProducerRegisters = kWarpgroups == 2 ? 40 : 32;
  static constexpr int kConsumerRegisters = kWarpgroups == 2 ? 232 : 160;

  static_assert(kRowBlocks == 1 || kRowBlocks == 2, "a cluster has two blocks");
  static_assert(kXRows % 8 == 0, "swizzled tiles begin at whole groups of 8 rows");
};

template <class Shape>
struct Bf16WideStage {
  uint8_t x[Shape::kRows][kSwizzledRow];
  uint8_t weight[Shape::kColumns][kSwizzledRow];
};

// Dynamic shared memory, at a multiple of 1024.
template <class Shape>
struct Bf16WideMemory {
  Bf16WideStage<Shape> stages[Shape::kStages];
  Barrier full[Shape::kStages];
  Barrier empty[Shape::kStages];
};

}  // namespace musaic
