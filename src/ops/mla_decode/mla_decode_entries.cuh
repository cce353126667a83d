#pragma once

#include "gpu_copy.cuh"
#include "ops/mla_decode/mla_decode_shape.cuh"

namespace musaic::mla_decode_sm90 {

// What some warps bring while the others compute: entries pass through two stages, the share's tiles, then
// the head's value rows of kv_b.
template <class Size>
struct Entries {
  Memory<Size>& memory;

  __device__ uint8_t* stage(int entry) const { return memory.stages[entry % kStages]; }
  __device__ void wait(int entry) const { memory.has_entry[entry % kStages].wait(entry / kStages & 1); }
  // REQUIRES: called by all threads that compute. Each vouches for what it has read itself, as racecheck has
  // it.
  __device__ void release(int entry) const { memory.is_free[entry % kStages].arrive(); }
  __device__ void init() const {
    for (Barrier& barrier : memory.has_entry) barrier.init(kCopyWarps * kWarpSize);
    for (Barrier& barrier : memory.is_free) barrier.init(kComputeThreads);
  }
};

// The calling warp's part of them: every kCopyWarps-th row, of which it knows the page a tile ahead.
template <class Size>
class EntryCopies {
 public:
  __device__ EntryCopies(const MlaDecodeCall& call, const Place<Size>& place, const Share<Size>& share,
                         const Entries<Size>& entries)
      : call_(call), place_(place), share_(share), entries_(entries) {
    find_rows(0);
  }
  __device__ int count() const { return share_.tiles() + 1; }
  __device__ void start(int entry) {
    if (entry >= kStages) entries_.memory.is_free[entry % kStages].wait((entry / kStages - 1) & 1);
    if (entry < share_.tiles()) {
      start_tile(entry);
      find_rows(entry + 1);
    } else {
      start_values(entry);
    }
    arrive_after_copies(entries_.memory.has_entry[entry % kStages]);
  }

 private:
  static constexpr int64_t kZeros = -1, kNewest = -2;  // in place of where a row lies
  static constexpr int kRows = (kTile + kCopyWarps - 1) / kCopyWarps;
  static_assert(kRows <= kWarpSize, "a lane knows one row of a tile");

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / kWarpSize - kWarps; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kWarpSize; }

  // The lane's row of a tile.
  __device__ void find_rows(int tile) {
    const int row = warp() + lane() * kCopyWarps;
    from_ = kZeros;
    if (tile >= share_.tiles() || row >= share_.rows(tile)) return;
    const int position = share_.position(tile, row);
    if (position < share_.length - 1) from_ = 2 * cached_row(call_.cache, place_.sequence, position);
    if (position == share_.length - 1) from_ = kNewest;
  }
  __device__ void start_tile(int tile) const {
    uint8_t* stage = entries_.stage(tile);
    const int rows = share_.rows(tile);
#pragma unroll 2
    for (int i = 0; i < kRows; ++i) {
      const int row = warp() + i * kCopyWarps;
      const int64_t from = __shfl_sync(kAllLanes, from_, i);
      if (row >= rows || from == kNewest) continue;
      for (int unit = lane(); unit < kUnits; unit += kWarpSize)
        start_copy(stage + row * kPaddedRow + unit * kUnitBytes,
                   call_.cache.data + max(from, int64_t{0}) + unit * kUnitBytes, from >= 0);
    }
  }
  __device__ void start_values(int entry) const {
    const uint8_t* from =
        call_.kv_b.data + (static_cast<int64_t>(place_.head) * (kNope + kValues) + kNope) * kRank;
    uint8_t* stage = entries_.stage(entry);
#pragma unroll 4
    for (int row = warp(); row < kValues; row += kCopyWarps)
      start_copy(stage + row * kPaddedValueRow + lane() * kUnitBytes,
                 from + row * kRank + lane() * kUnitBytes, true);
  }

  const MlaDecodeCall& call_;
  const Place<Size>& place_;
  const Share<Size>& share_;
  const Entries<Size>& entries_;
  int64_t from_;
};

}  // namespace musaic::mla_decode_sm90
