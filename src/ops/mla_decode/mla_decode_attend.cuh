#pragma once

#include "hopper_rows.cuh"
#include "ops/mla_attention/head_softmax.cuh"
#include "ops/mla_decode/mla_decode_entries.cuh"
#include "ops/mla_decode/mla_decode_factors.cuh"
#include "ops/mla_decode/mla_decode_newest.cuh"

namespace musaic::mla_decode_sm90 {

// A warp's four steps of the query.
struct QuerySteps {
  uint32_t words[kScoreSteps][kFactorParts][4];

  template <class Size>
  __device__ void load(const Memory<Size>& memory, const MatrixLane& lane) {
    const int l = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
    for (int step = 0; step < kScoreSteps; ++step) {
      const int unit = 2 * (lane.warp * kScoreSteps + step) + l / 16;
#pragma unroll
      for (int p = 0; p < kFactorParts; ++p)
        load_matrices(memory.query[p][l % 16].bytes + unit * kUnitBytes, words[step][p]);
    }
  }
};

// The warp's steps of the tile's scores.
template <class Size>
__device__ void score_tile(const uint8_t* tile, int count, const QuerySteps& query, const MatrixLane& lane,
                           Memory<Size>& memory) {
  const int l = static_cast<int>(threadIdx.x) % kWarpSize;
  const uint8_t* from =
      tile + (l / 16 * 8 + l % 8) * kPaddedRow + (2 * lane.warp * kScoreSteps + l / 8 % 2) * kUnitBytes;
  float sums[kTile / 8][4] = {};
#pragma unroll
  for (int step = 0; step < kScoreSteps; ++step) {
#pragma unroll
    for (int i = 0; i < kTile / 8; i += 2) {
      if (8 * i >= count) break;
      uint32_t keys[4];
      load_matrices(from + i * 8 * kPaddedRow + 2 * step * kUnitBytes, keys);
      const uint32_t first[2] = {keys[0], keys[1]}, second[2] = {keys[2], keys[3]};
#pragma unroll
      for (int p = kFactorParts - 1; p >= 0; --p) {
        CacheProduct::add(sums[i], query.words[step][p], first);
        CacheProduct::add(sums[i + 1], query.words[step][p], second);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kTile / 8; ++i) {
    float* to = &memory.scores[lane.warp][lane.g][8 * i + 2 * lane.t];
    *reinterpret_cast<float2*>(to) = make_float2(sums[i][0], sums[i][1]);
    *reinterpret_cast<float2*>(to + 8 * (kTile + 8)) = make_float2(sums[i][2], sums[i][3]);
  }
}

struct HeadState : HeadSoftmax {
  // The tile's scores in memory become weights, as two factors.
  template <class Size>
  __device__ void weigh_tile(Memory<Size>& memory, int count) {
    float scores[4];
    take(memory.scores, scores);
    const float keep = weigh(scores, count, [](float x) { return exp2_near(x); });
    if (part() == 0) memory.keep[head()] = keep;
    uint32_t pairs[2][kFactorParts];
    split_as_bf16(scores[0], scores[1], pairs[0]);
    split_as_bf16(scores[2], scores[3], pairs[1]);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      *reinterpret_cast<uint2*>(&memory.weights[p][head()][8 * part()]) =
          make_uint2(pairs[0][p], pairs[1][p]);
  }
  // To the head's block.
  template <class Size>
  __device__ void send(Memory<Size>& memory) const {
    if (part() != 0) return;
    const uint32_t to = shared_address(&memory.shares[blockIdx.x][kSharePacks - 1]);
    store_in_block(address_in_block(to, head()), make_float4(maximum, weight, 0.0f, 0.0f),
                   address_in_block(shared_address(&memory.has_shares), head()));
  }
};

// A warp's 64 columns of the results, in pairs of products.
struct ResultPart {
  static constexpr int kPairs = 4;
  float sums[2 * kPairs][4] = {};

  template <class Size>
  __device__ void rescale(const MatrixLane& lane, const Memory<Size>& memory) {
    const float keep[2] = {memory.keep[lane.g], memory.keep[lane.g + 8]};
#pragma unroll
    for (int i = 0; i < 2 * kPairs; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] *= keep[j / 2];
    }
  }
  __device__ void add_tile(int pair, const uint8_t* tile, int count, const MatrixLane& lane,
                           const uint32_t (&weights)[kTileGroups][kFactorParts][4]) {
    const int l = static_cast<int>(threadIdx.x) % kWarpSize;
    const uint8_t* from = tile + l % 16 * kPaddedRow + (8 * lane.warp + 2 * pair + l / 16) * kUnitBytes;
#pragma unroll
    for (int step = 0; step < kTileGroups; ++step) {
      if (kGroup * step >= count) break;
      uint32_t rows[4];
      load_transposed_matrices(from + kGroup * step * kPaddedRow, rows);
      const uint32_t first[2] = {rows[0], rows[1]}, second[2] = {rows[2], rows[3]};
#pragma unroll
      for (int p = kFactorParts - 1; p >= 0; --p) {
        CacheProduct::add(sums[2 * pair], weights[step][p], first);
        CacheProduct::add(sums[2 * pair + 1], weights[step][p], second);
      }
    }
  }
  // Each head's to its block. Pack 16 · warp + 4 · pair + t has the columns 64 · warp + 16 · pair + 2t, the
  // next one, and those eight behind.
  template <class Size>
  __device__ void send(int pair, const MatrixLane& lane, Memory<Size>& memory) const {
    const uint32_t to = shared_address(&memory.shares[blockIdx.x][16 * lane.warp + 4 * pair + lane.t]);
    const uint32_t barrier = shared_address(&memory.has_shares);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t head = static_cast<uint32_t>(lane.g + 8 * half);
      const float(&first)[4] = sums[2 * pair], (&second)[4] = sums[2 * pair + 1];
      store_in_block(
          address_in_block(to, head),
          make_float4(first[2 * half], first[2 * half + 1], second[2 * half], second[2 * half + 1]),
          address_in_block(barrier, head));
    }
  }
};

// The tile's weights as left factors.
template <class Size>
__device__ void load_weights(const Memory<Size>& memory, int count,
                             uint32_t (&weights)[kTileGroups][kFactorParts][4]) {
  const int l = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int step = 0; step < kTileGroups; ++step) {
    if (kGroup * step >= count) break;
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      load_matrices(&memory.weights[p][l % 16][(2 * step + l / 16) * kUnitBytes], weights[step][p]);
  }
}

// The block's share of the positions, whose sums go to the blocks of their heads.
template <class Size>
__device__ void attend(const Share<Size>& share, const Entries<Size>& entries, const MatrixLane& lane,
                       Memory<Size>& memory) {
  QuerySteps query;
  ResultPart result;
  HeadState state;
  memory.has_query.wait(0);
  query.load(memory, lane);
  const int tiles = share.tiles();
  for (int tile = 0; tile < tiles; ++tile) {
    const bool is_last = tile + 1 == tiles;
    const int count = share.count(tile);
    uint8_t* latents = entries.stage(tile);
    entries.wait(tile);
    if (lane.warp == kSpareWarp && is_last && share.has_newest)
      put_newest(latents + (count - 1) * kPaddedRow, memory);
    meet<kComputeThreads>(1);
    score_tile(latents, count, query, lane, memory);
    meet<kComputeThreads>(1);
    if (lane.warp < kProductWarps) state.weigh_tile(memory, count);
    meet<kComputeThreads>(1);
    if (is_last) announce_to_cluster();  // shares may take the place of scores
    uint32_t weights[kTileGroups][kFactorParts][4];
    if (lane.warp < kProductWarps) {
      result.rescale(lane, memory);
      load_weights(memory, count, weights);
#pragma unroll
      for (int pair = 0; pair < ResultPart::kPairs / 2; ++pair)
        result.add_tile(pair, latents, count, lane, weights);
    }
    if (is_last) wait_for_cluster();
    if (lane.warp < kProductWarps) {
      if (is_last) {
        state.send(memory);
#pragma unroll
        for (int pair = 0; pair < ResultPart::kPairs / 2; ++pair) result.send(pair, lane, memory);
      }
#pragma unroll
      for (int pair = ResultPart::kPairs / 2; pair < ResultPart::kPairs; ++pair) {
        result.add_tile(pair, latents, count, lane, weights);
        if (is_last) result.send(pair, lane, memory);
      }
    }
    if (!is_last) entries.release(tile);
  }
}

}  // namespace musaic::mla_decode_sm90
