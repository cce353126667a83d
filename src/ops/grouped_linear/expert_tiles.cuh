#pragma once

#include "backends/gpu/device_math.cuh"

// Which tiles of rows the experts have, found on the device.
namespace musaic {

inline constexpr int kMostExperts = 1024;

// In shared memory.
struct ExpertTiles {
  int first[kMostExperts + 1];  // tile of each expert's rows; behind the last one: the number of tiles
};

// The tiles of an expert, up to `tile_rows` rows each; 0: one of all its rows.
__device__ inline int num_row_tiles(int rows, int tile_rows) {
  if (tile_rows == 0) return rows > 0 ? 1 : 0;
  return (rows + tile_rows - 1) / tile_rows;
}

// REQUIRES: every thread of the block takes part; num_experts <= kMostExperts.
__device__ inline void count_tiles(const int32_t* count, int num_experts, int tile_rows, ExpertTiles& tiles) {
  if (threadIdx.x < kWarpSize) {
    const int lane = static_cast<int>(threadIdx.x);
    int before = 0;
    for (int base = 0; base < num_experts; base += kWarpSize) {
      int sum = base + lane < num_experts ? num_row_tiles(count[base + lane], tile_rows) : 0;
      for (int distance = 1; distance < kWarpSize; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance) sum += other;
      }
      if (base + lane < num_experts) tiles.first[base + lane + 1] = before + sum;
      before += __shfl_sync(0xffffffffu, sum, kWarpSize - 1);
    }
    if (lane == 0) tiles.first[0] = 0;
  }
  __syncthreads();
}

// The expert of a row tile. REQUIRES: there is such a tile.
__device__ inline int expert_of(const ExpertTiles& tiles, int num_experts, int row_tile) {
  int low = 0, high = num_experts;  // first[low] <= row_tile < first[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (tiles.first[middle] <= row_tile ? low : high) = middle;
  }
  return low;
}

}  // namespace musaic
