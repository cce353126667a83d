#pragma once

#include "ops/mla_decode/mla_decode_factors.cuh"
#include "ops/mla_decode/mla_decode_newest.cuh"
#include "ops/mla_decode/mla_decode_shape.cuh"

namespace musaic::mla_decode_sm90 {

// The head's key rows of kv_b, 64 columns a warp: in the rows 2t, 2t + 1, 2t + 8 and 2t + 9 of each step
// eight columns a lane.
struct KeyRows {
  static constexpr int kSteps = kNope / 16;
  uint2 rows[kSteps][4];
  float scale;

  __device__ void load(const KvBGpu& kv_b, int head, const MatrixLane& lane) {
    const int column = 64 * lane.warp + 8 * lane.g;
    const int64_t first = static_cast<int64_t>(head) * (kNope + kValues) + 2 * lane.t;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        rows[step][i] = *reinterpret_cast<const uint2*>(
            kv_b.data + (first + 16 * step + i % 2 + i / 2 * 8) * kRank + column);
    }
    scale = kv_b.scale[2 * head * kv_b.scale_columns + column / kScaleBlock];
  }
  // Columns 4 · half and the next three as left factors of two products.
  __device__ void factors(int step, int half, uint32_t (&left)[2][4]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint2 &upper = rows[step][2 * i], &lower = rows[step][2 * i + 1];
      const uint32_t a = half == 0 ? upper.x : upper.y, b = half == 0 ? lower.x : lower.y;
#pragma unroll
      for (int product = 0; product < 2; ++product) {
        const uint32_t pairs = __byte_perm(a, b, product == 0 ? 0x5140 : 0x7362);
        left[product][2 * i] = f16_of_f8(pairs);
        left[product][2 * i + 1] = f16_of_f8(pairs >> 16);
      }
    }
  }
};

// What does not rotate of the head's queries as a right factor: columns 2s and 2s + 1 are the two parts of
// sequence s.
template <class Size>
struct QueryColumns {
  uint32_t words[KeyRows::kSteps][2];

  __device__ void load(const LatentWriteCall& call, const Sequences<Size>& sequences, int head,
                       const MatrixLane& lane) {
    const int of_cluster = lane.g / 2;
    const bool is_live = sequences.length(of_cluster) > 0;
    const float* from =
        row_of<const float>(call.query, sequences.first + of_cluster) + head * kHeadDim + 2 * lane.t;
    float2 pairs[KeyRows::kSteps][2];
#pragma unroll
    for (int step = 0; step < KeyRows::kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        pairs[step][i] = make_float2(0.0f, 0.0f);
        if (is_live) pairs[step][i] = *reinterpret_cast<const float2*>(from + 16 * step + 8 * i);
      }
    }
#pragma unroll
    for (int step = 0; step < KeyRows::kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        uint32_t parts[kFactorParts];
        split_as_f16(pairs[step][i].x, pairs[step][i].y, parts);
        words[step][i] = parts[lane.g % 2];
      }
    }
  }
};

// Eight values of a row that is sent as two factors.
struct SplitUnit {
  uint4 parts[kFactorParts];

  __device__ explicit SplitUnit(const float (&values)[8]) {
    uint32_t words[4][kFactorParts];
#pragma unroll
    for (int i = 0; i < 4; ++i) split_as_bf16(values[2 * i], values[2 * i + 1], words[i]);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      parts[p] = make_uint4(words[0][p], words[1][p], words[2][p], words[3][p]);
  }
};

// Which sequence of the cluster a lane sends queries of, and that it sends them to every kSenders-th block.
template <class Size>
struct QuerySender {
  int of_cluster;
  int sender;

  __device__ explicit QuerySender(int lane)
      : of_cluster(lane / Size::kSenders), sender(lane % Size::kSenders) {}
};

// A unit of the block's head to the blocks that have a share of the sequence.
template <class Size>
__device__ void send_query(const SplitUnit& values, int unit, const QuerySender<Size>& from, int shares,
                           Memory<Size>& memory) {
  constexpr int kEach = (Size::kSplits + Size::kSenders - 1) / Size::kSenders;
  const uint32_t barrier = shared_address(&memory.has_query);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int split = from.sender + i * Size::kSenders;
    if (split >= shares) break;
    const int block = from.of_cluster * Size::kSplits + split;
    const uint32_t barrier_there = address_in_block(barrier, block);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p) {
      const uint32_t to = shared_address(memory.query[p][blockIdx.x].bytes + unit * kUnitBytes);
      const uint4& word = values.parts[p];
      store_in_block(address_in_block(to, block),
                     make_float4(__uint_as_float(word.x), __uint_as_float(word.y), __uint_as_float(word.z),
                                 __uint_as_float(word.w)),
                     barrier_there);
    }
  }
}

// The queries through the head's key rows. Of a quad lane t has sequence t.
template <class Size>
__device__ void absorb_query(const MlaDecodeCall& call, const Sequences<Size>& sequences, const KeyRows& keys,
                             const QueryColumns<Size>& query, const MatrixLane& lane, Memory<Size>& memory) {
  float products[4][4] = {};
#pragma unroll
  for (int step = 0; step < KeyRows::kSteps; ++step) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t left[2][4];
      keys.factors(step, half, left);
      KvBProduct::add(products[2 * half], left[0], query.words[step]);
      KvBProduct::add(products[2 * half + 1], left[1], query.words[step]);
    }
  }
  const float scale = keys.scale * call.scale;
  const QuerySender<Size> from(lane.t);
  const int source = static_cast<int>(threadIdx.x) % kWarpSize / 4 * 4 + from.of_cluster;
  float values[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float value = (products[i / 2][i % 2 * 2] + products[i / 2][i % 2 * 2 + 1]) * scale;
    values[i] = __shfl_sync(kAllLanes, value, source);
  }
  wait_for_cluster();
  send_query(SplitUnit(values), 8 * lane.warp + lane.g, from, sequences.num_shares(from.of_cluster), memory);
}

// What rotates of the head's queries, by one warp: eight lanes have a sequence's.
template <class Size>
__device__ void rotate_query(const MlaDecodeCall& call, const Sequences<Size>& sequences, int head,
                             Memory<Size>& memory) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, unit = lane % 8;
  const QuerySender<Size> from(lane / 8);
  const int sequence = sequences.first + from.of_cluster, shares = sequences.num_shares(from.of_cluster);
  const float* row = row_of<const float>(call.write.query, sequence) + head * kHeadDim + kNope;
  float values[8] = {};
  if (shares > 0)
    rotated_eight(row, row_of<const float>(call.write.cos_sin, sequence), unit, call.write.interleaved,
                  values);
  wait_for_cluster();
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] *= call.scale;
  send_query(SplitUnit(values), kRank / 8 + unit, from, shares, memory);
}

}  // namespace musaic::mla_decode_sm90
