#pragma once

#include "backends/gpu/weight_packet.cuh"
#include "ops/attention/attention_gpu.h"

// Query rows of one sequence and kv head that are computed together by a block of threads.
namespace musaic {

inline constexpr int kAttentionWarps = 8;
inline constexpr int kKvBlock = 32;          // positions that a warp takes at once: one a lane
inline constexpr float kNoMaximum = -3e38f;  // below every score, and finite: differences stay numbers
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Sums of 2^(score − maximum): of the weights, and of weights times values.
struct SoftmaxSum {
  float maximum = kNoMaximum;
  float weight = 0.0f;
  float value = 0.0f;

  __device__ void add(float other_maximum, float other_weight, float other_value) {
    if (other_maximum == kNoMaximum) return;
    const float largest = fmaxf(maximum, other_maximum);
    const float keep = exp2f(maximum - largest), take = exp2f(other_maximum - largest);
    weight = fmaf(weight, keep, other_weight * take);
    value = fmaf(value, keep, other_value * take);
    maximum = largest;
  }
  __device__ float mean() const { return value * (1.0f / weight); }
};

// Row r is head (first_row + r) % group_size of the group at the sequence's token (first_row + r) /
// group_size.
struct RowTile {
  int sequence;
  int first_row;
  int num_rows;
  int first_token;     // of the sequence, among the step's
  int first_position;  // of that token
};

// Tile number `index` of the step, counted over sequences; a sequence's last tile first, as it has the most
// work. False behind the last. What pad sequences have is read and not used, so that nothing waits for the
// number of sequences. REQUIRES: whole warps.
template <int kRows>
__device__ inline bool find_tile(const AttentionCall& call, int index, RowTile* tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int sequences = *call.num_sequences;
  for (int first = 0; first < call.sequences; first += 32) {
    const int mine = min(first + lane, static_cast<int>(call.sequences) - 1);
    const int first_token = call.query_start[mine];
    const int next_token = call.query_start[mine + 1];
    const int length = call.kv_lengths[mine];
    const int rows = first + lane < sequences ? (next_token - first_token) * call.group_size : 0;
    int up_to_mine = (rows + kRows - 1) / kRows;
    for (int distance = 1; distance < 32; distance *= 2) {
      const int below = __shfl_up_sync(kAllLanes, up_to_mine, distance);
      if (lane >= distance) up_to_mine += below;
    }
    const unsigned behind = __ballot_sync(kAllLanes, up_to_mine > index);
    if (behind == 0) {
      if (first + 32 >= sequences) return false;
      index -= __shfl_sync(kAllLanes, up_to_mine, 31);
      continue;
    }
    const int owner = __ffs(static_cast<int>(behind)) - 1;
    const int from_last = __shfl_sync(kAllLanes, up_to_mine, owner) - 1 - index;
    tile->sequence = first + owner;
    tile->first_row = from_last * kRows;
    tile->first_token = __shfl_sync(kAllLanes, first_token, owner);
    tile->num_rows = min(kRows, __shfl_sync(kAllLanes, rows, owner) - tile->first_row);
    tile->first_position = __shfl_sync(kAllLanes, length - (next_token - first_token), owner);
    return true;
  }
  return false;
}

// The token of the step, the query head and the position of row `row`.
// Tokens before that of a row, from the tile's first one on. Most rows of decode steps need no division.
__device__ inline int tokens_before(const AttentionCall& call, const RowTile& tile, int row) {
  const int at = tile.first_row + row;
  return at < call.group_size ? 0 : at / call.group_size;
}
__device__ inline int64_t token_of(const AttentionCall& call, const RowTile& tile, int row) {
  return tile.first_token + tokens_before(call, tile, row);
}
__device__ inline int head_of(const AttentionCall& call, const RowTile& tile, int row, int kv_head) {
  const int before = tokens_before(call, tile, row);
  return kv_head * call.group_size + tile.first_row + row - before * call.group_size;
}
__device__ inline int position_of(const AttentionCall& call, const RowTile& tile, int row) {
  return tile.first_position + tokens_before(call, tile, row);
}

// kValues neighbouring values of a cache's row.
template <DType kType, int kValues>
struct ValuePack {
  static constexpr int kWords = kType == DType::kF32 ? kValues : kValues / 2;
  static constexpr int kBytes = 4 * kWords;
  uint32_t words[kWords];

  __device__ void load(const uint8_t* from) {
    if constexpr (kWords == 1) {
      words[0] = *reinterpret_cast<const uint32_t*>(from);
    } else if constexpr (kWords == 2) {
      const uint2 two = *reinterpret_cast<const uint2*>(from);
      words[0] = two.x, words[1] = two.y;
    } else {
#pragma unroll
      for (int i = 0; i < kWords; i += 4) {
        const uint4 four = reinterpret_cast<const uint4*>(from)[i / 4];
        words[i] = four.x, words[i + 1] = four.y, words[i + 2] = four.z, words[i + 3] = four.w;
      }
    }
  }
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kWords; ++i) words[i] = 0;
  }
  __device__ float value(int i) const {
    if constexpr (kType == DType::kF32) return __uint_as_float(words[i]);
    const uint32_t bits = words[i / 2] >> (i % 2 * 16) & 0xFFFFu;
    return kType == DType::kF16 ? half_value(bits) : __uint_as_float(bits << 16);
  }
};

}  // namespace musaic
