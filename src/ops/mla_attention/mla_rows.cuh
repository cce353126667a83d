#pragma once

#include "backends/gpu/device_math.cuh"
#include "ops/mla_attention/mla_attention_gpu.h"

// Where rows and tiles of a step lie, found from its metadata on the device.
namespace musaic {

inline constexpr float kNoMaximum = -3e38f;  // below every score, and finite: differences stay numbers
inline constexpr unsigned kAllLanes = 0xffffffffu;

// A row of the step: its sequence, and how many positions it sees, its own included.
struct MlaRow {
  int sequence = 0;
  int seen = 0;
};

// False for a row of no sequence. In a decode step row and sequence have one number: tried first.
__device__ inline bool find_row(const MlaCacheGpu& cache, int64_t token, MlaRow* row) {
  const int sequences = *cache.num_sequences;
  if (cache.sequences == 0) return false;
  const int32_t* start = cache.query_start;
  const int64_t guess = token < cache.sequences ? token : cache.sequences - 1;
  const int guessed_start = start[guess], guessed_end = start[guess + 1];
  const int guessed_length = cache.kv_lengths[guess];
  if (guess < sequences && guessed_start <= token && token < guessed_end) {
    *row = {static_cast<int>(guess), guessed_length - (guessed_end - static_cast<int>(token)) + 1};
    return true;
  }
  if (sequences == 0 || token < start[0] || token >= start[sequences]) return false;
  int first = 0, behind = sequences;  // the last sequence that starts at `token` or before is in between
  while (behind - first > 1) {
    const int middle = (first + behind) / 2;
    if (start[middle] <= token) {
      first = middle;
    } else {
      behind = middle;
    }
  }
  *row = {first, cache.kv_lengths[first] - (start[first + 1] - static_cast<int>(token)) + 1};
  return true;
}

// In values from the start of the cache.
__device__ inline int64_t cached_row(const MlaCacheGpu& cache, int sequence, int position) {
  const int64_t page = cache.page_table[sequence * cache.max_pages + position / cache.page_size];
  return (page * cache.page_size + position % cache.page_size) * cache.width;
}

__device__ inline int num_rows(const MlaCacheGpu& cache, int sequence) {
  return cache.query_start[sequence + 1] - cache.query_start[sequence];
}

// The sequence that has number `index` when each counts `count(sequence)`, and the number within it. False
// behind the last. REQUIRES: whole warps.
template <class Count>
__device__ inline bool find_counted(int sequences, int index, const Count& count, int* sequence,
                                    int* within) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int first = 0; first < sequences; first += kWarpSize) {
    const int mine = first + lane < sequences ? count(first + lane) : 0;
    int up_to_mine = mine;
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const int below = __shfl_up_sync(kAllLanes, up_to_mine, distance);
      if (lane >= distance) up_to_mine += below;
    }
    const unsigned behind = __ballot_sync(kAllLanes, up_to_mine > index);
    if (behind != 0) {
      const int owner = __ffs(static_cast<int>(behind)) - 1;
      *sequence = first + owner;
      *within = index - __shfl_sync(kAllLanes, up_to_mine - mine, owner);
      return true;
    }
    index -= __shfl_sync(kAllLanes, up_to_mine, kWarpSize - 1);
  }
  return false;
}

// The sum of `count` over sequences before `sequence`. REQUIRES: whole warps.
template <class Count>
__device__ inline int sum_before(int sequence, const Count& count) {
  int sum = 0;
  for (int s = static_cast<int>(threadIdx.x) % kWarpSize; s < sequence; s += kWarpSize) sum += count(s);
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  return sum;
}

// Of rows of 16-byte units in shared memory: what a unit's number is exchanged with, so that lanes that read
// neighbouring units of neighbouring rows, and those that read one unit of every other row, meet different
// banks.
__device__ inline int unit_exchange(int row) {
  return (row >> 1 & 3) << 1 ^ (row & 1) << 2;
}

}  // namespace musaic
