#pragma once

#include "ops/mla_attention/mla_tiles_sm90.cuh"

// Tiles of query rows that blocks attend with, and how a warpgroup's share of one comes to shared memory.
namespace musaic {

inline constexpr int kKeyChunks = 3;  // of 64 values, the last one rotated
using QueryRows = uint8_t[kKeyChunks][kWarpgroupRows][kSwizzledRow];

// A warpgroup's rows of a tile of query rows, of one head.
struct QueryTile {
  int sequence;
  int head;
  int first_row;  // in the step
  int rows;       // from there on
  int position;   // of first_row
  int tiles;      // of positions, that the tile's last row sees

  // Tiles of positions that the warpgroup's rows see.
  __device__ int tiles_seen() const { return rows > 0 ? (position + rows - 1) / kMlaWideTile + 1 : 0; }
};

// The block's tiles of query rows, `warpgroup`'s rows of each. A sequence's last ones, which have the most
// work, come first, and blocks take from the next round in opposite order. REQUIRES: whole warps.
template <int kRowTiles>
class QueryTileWalk {
 public:
  static constexpr int kRows = kWarpgroupRows * kRowTiles;

  __device__ QueryTileWalk(const MlaAttentionCall& call, int warpgroup)
      : call_(call), sequences_(*call.cache.num_sequences), rows_before_(warpgroup * kWarpgroupRows) {}

  __device__ bool next(QueryTile& tile) {
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int index = round_ * blocks + (round_ % 2 == 0 ? block : blocks - 1 - block);
    ++round_;
    const auto count = [this](int sequence) { return (num_rows(call_.cache, sequence) + kRows - 1) / kRows; };
    int within = 0;
    if (!find_counted(sequences_, index / call_.heads, count, &tile.sequence, &within)) return false;
    tile.head = index % call_.heads;
    const int rows = num_rows(call_.cache, tile.sequence);
    const int first = (count(tile.sequence) - 1 - within) * kRows, mine = first + rows_before_;
    const int position = call_.cache.kv_lengths[tile.sequence] - rows;  // of the sequence's first row
    tile.tiles = (position + min(rows, first + kRows) - 1) / kMlaWideTile + 1;
    tile.first_row = call_.cache.query_start[tile.sequence] + mine;
    tile.rows = min(rows - mine, kWarpgroupRows);
    tile.position = position + mine;
    return true;
  }

 private:
  const MlaAttentionCall& call_;
  const int sequences_;
  const int rows_before_;
  int round_ = 0;
};

__device__ inline const float* query_values(const MlaAttentionCall& call, const QueryTile& query) {
  return call.query + query.first_row * call.query_stride + query.head * (64 * kKeyChunks);
}

// By kThreads threads, kAtOnce reads under way; rows that are not there become zeros.
template <int kThreads, int kAtOnce>
__device__ inline void load_query_rows(const MlaAttentionCall& call, const QueryTile& query, int thread,
                                       QueryRows& to) {
  constexpr int kFours = 16 * kKeyChunks;  // of a row
  constexpr int kBatches = kWarpgroupRows * kFours / kThreads / kAtOnce;
  static_assert(kBatches * kAtOnce * kThreads == kWarpgroupRows * kFours, "equal shares");
  const float* from = query_values(call, query);
#pragma unroll 1
  for (int batch = 0; batch < kBatches; ++batch) {
    float4 fours[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int index = thread + (batch * kAtOnce + i) * kThreads;
      const int row = index / kFours, four = index % kFours;
      fours[i] = row < query.rows ? reinterpret_cast<const float4*>(from + row * call.query_stride)[four]
                                  : make_float4(0, 0, 0, 0);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int index = thread + (batch * kAtOnce + i) * kThreads;
      const int row = index / kFours, four = index % kFours;
      const float4& a = fours[i];
      const float scale = call.scale;
      *reinterpret_cast<uint2*>(&to[four / 16][0][0] + swizzled_offset(row, four % 16 / 2) + four % 2 * 8) =
          make_uint2(F16Factor::pack(a.x * scale, a.y * scale), F16Factor::pack(a.z * scale, a.w * scale));
    }
  }
}

}  // namespace musaic
