#pragma once

#include "ops/mla_attention/matrix_factor.cuh"
#include "ops/mla_attention/mla_rows.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"

// Keys and values of a tile of positions, made from its latents in f16 by matrix units. A warp has 32 rows of
// kv_b at once; the order of a sum does not depend on how many warps there are.
namespace musaic {

inline constexpr int kLatentUnits = kMlaMatrixRank / 8;  // of 16 bytes
inline constexpr int kRopeUnits = (kMlaMatrixWidth - kMlaMatrixRank) / 8;
inline constexpr int kKeyUnits = 128 / 8 + kRopeUnits;
inline constexpr int kExpandedUnits = kMlaExpandedRow / 8;

// A tile's latents, as kv_b meets them, and its rotated keys, in f16.
struct TileLatents {
  uint4 latents[kMlaTile][kLatentUnits];
  uint4 rope[kMlaTile][kRopeUnits];
  int64_t from[kMlaTile];  // where rows begin in the cache, -1: none
};

// Eight cached values.
__device__ inline void cached_values(DType dtype, const uint4& bits, float (&values)[kPacket]) {
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const bool is_half = dtype == DType::kF16;
    values[2 * i] = is_half ? F16Factor::low(words[i]) : Bf16Factor::low(words[i]);
    values[2 * i + 1] = is_half ? F16Factor::high(words[i]) : Bf16Factor::high(words[i]);
  }
}

__device__ inline uint4 packed_f16(const float (&values)[kPacket]) {
  return make_uint4(F16Factor::pack(values[0], values[1]), F16Factor::pack(values[2], values[3]),
                    F16Factor::pack(values[4], values[5]), F16Factor::pack(values[6], values[7]));
}

// Through FP8 and back; sixteen neighbouring lanes have a group.
__device__ inline void round_group(float (&values)[kPacket]) {
  float largest = 1e-10f;
#pragma unroll
  for (int i = 0; i < kPacket; ++i) largest = fmaxf(largest, fabsf(values[i]));
  for (int distance = 8; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, distance));
  const float scale = __fdiv_rn(largest, 448.0f), inverse = __fdiv_rn(1.0f, scale);
#pragma unroll
  for (int i = 0; i < kPacket; i += 2) {
    uint32_t codes = 0;
#pragma unroll
    for (int j = 0; j < 2; ++j)
      codes |= to_f8e4m3(fmaxf(-448.0f, fminf(quotient(values[i + j], scale, inverse), 448.0f))) << (8 * j);
    const uint32_t pair = f8e4m3_as_f16(codes);
    values[i] = F16Factor::low(pair) * scale;
    values[i + 1] = F16Factor::high(pair) * scale;
  }
}

// Positions from `begin` on; zeros behind `end`. REQUIRES: whole blocks of kThreads.
template <int kThreads>
__device__ inline void load_latents(const MlaAttentionCall& call, int sequence, int begin, int end,
                                    TileLatents& to) {
  constexpr int kAtOnce = 8;  // loads under way
  constexpr int kRowsApart = kThreads / kLatentUnits;
  static_assert(kThreads % kLatentUnits == 0 && kMlaTile % (kAtOnce * kRowsApart) == 0, "equal shares");
  const MlaCacheGpu& cache = call.cache;
  const bool rounds = call.kv_b.dtype == DType::kF8E4M3;
  for (int row = threadIdx.x; row < kMlaTile; row += kThreads)
    to.from[row] = begin + row < end ? cached_row(cache, sequence, begin + row) : -1;
  __syncthreads();
  const auto load = [&](int row, int unit) {
    const int64_t from = to.from[row];
    return from < 0 ? make_uint4(0, 0, 0, 0)
                    : *reinterpret_cast<const uint4*>(cache.data + 2 * from + 16 * unit);
  };
  const int unit = static_cast<int>(threadIdx.x) % kLatentUnits;
  for (int row = static_cast<int>(threadIdx.x) / kLatentUnits; row < kMlaTile; row += kAtOnce * kRowsApart) {
    uint4 bits[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) bits[i] = load(row + i * kRowsApart, unit);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      float values[kPacket];
      cached_values(cache.dtype, bits[i], values);
      if (rounds) round_group(values);
      const int at = row + i * kRowsApart;
      to.latents[at][unit ^ (at & 1) << 2] = packed_f16(values);
    }
  }
  for (int i = threadIdx.x; i < kMlaTile * kRopeUnits; i += kThreads) {
    float values[kPacket];
    cached_values(cache.dtype, load(i / kRopeUnits, kLatentUnits + i % kRopeUnits), values);
    to.rope[i / kRopeUnits][i % kRopeUnits] = packed_f16(values);
  }
}

// Four columns of kv_b's rows (one a product), eight values each, as f16.
template <DType kType>
__device__ inline void kv_b_words(const KvBPacket<kType>& packet, uint32_t (&words)[4]) {
  packet.words(words);
  if constexpr (kType == DType::kBF16) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      words[i] = F16Factor::pack(Bf16Factor::low(words[i]), Bf16Factor::high(words[i]));
  }
}

// Four chunks of 32 values of four rows of kv_b.
template <DType kType>
struct KvBGroup {
  static constexpr int kChunks = 4;
  KvBPacket<kType> packets[kChunks][4];

  __device__ void load(const KvBGpu& kv_b, int64_t from) {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < 4; ++i) packets[c][i].load(kv_b.data, from + i * kMlaMatrixRank + c * 32);
    }
  }
};

// The products of all the tile's latents with 32 rows of kv_b: column c of product i is row 4c + i. A group
// of 128 values is summed in units of its own scale, to which the sum before it is converted.
template <DType kType>
__device__ inline void multiply_latents(const KvBGpu& kv_b, int64_t first_row, const TileLatents& tile,
                                        const MatrixLane& lane, float (&sums)[4][4][4]) {
  constexpr int kGroups = kMlaMatrixRank / 128, kChunks = KvBGroup<kType>::kChunks;
  const float* scales = kv_b.scale + first_row / 128 * kv_b.scale_columns;
  const int64_t from = (first_row + 4 * lane.g) * kMlaMatrixRank + 8 * lane.t;
  KvBGroup<kType> group;
  group.load(kv_b, from);
  float scale = 1.0f;
#pragma unroll 1
  for (int g = 0; g < kGroups; ++g) {
    const KvBGroup<kType> present = group;
    if (g + 1 < kGroups) group.load(kv_b, from + (g + 1) * 128);
    if (kType == DType::kF8E4M3) {
      const float next = scales[g];
      if (!(next > 1e-30f)) continue;  // all zeros
      const float convert = __fdiv_rn(scale, next);
#pragma unroll
      for (int i = 0; i < 64; ++i) sums[i / 16][i / 4 % 4][i % 4] *= convert;
      scale = next;
    }
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      uint32_t words[4][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) kv_b_words(present.packets[c][i], words[i]);
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        const int unit = (4 * (g * kChunks + c) + lane.t) ^ (lane.g & 1) << 2;
        const uint4 upper = tile.latents[16 * m + lane.g][unit];
        const uint4 lower = tile.latents[16 * m + lane.g + 8][unit];
        const uint32_t left[2][4] = {{upper.x, lower.x, upper.y, lower.y},
                                     {upper.z, lower.z, upper.w, lower.w}};
#pragma unroll
        for (int step = 0; step < 2; ++step) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const uint32_t right[2] = {words[i][2 * step], words[i][2 * step + 1]};
            F16Product::add_unordered(sums[m][i], left[step], right);
          }
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 16; ++i) F16Product::order(sums[i / 4][i % 4]);
  if constexpr (kType == DType::kF8E4M3) {
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i / 16][i / 4 % 4][i % 4] *= scale;
  }
}

// One head's keys, rotated parts and values of the tile, [kMlaTile][kExpandedUnits].
template <DType kType, int kWarps>
__device__ inline void expand_head(const KvBGpu& kv_b, int head, const TileLatents& tile, uint4* to) {
  constexpr int kRowsAtOnce = 32, kHeadRows = 256;
  const MatrixLane lane;
#pragma unroll 1
  for (int part = lane.warp; part < kHeadRows / kRowsAtOnce; part += kWarps) {
    float sums[4][4][4] = {};
    multiply_latents<kType>(kv_b, static_cast<int64_t>(head) * kHeadRows + part * kRowsAtOnce, tile, lane,
                            sums);
    const int unit = 4 * part + lane.t + (part < 4 ? 0 : kRopeUnits);
#pragma unroll
    for (int m = 0; m < 4; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int j = 2 * half;
        to[(16 * m + lane.g + 8 * half) * kExpandedUnits + unit] = make_uint4(
            F16Factor::pack(sums[m][0][j], sums[m][1][j]), F16Factor::pack(sums[m][2][j], sums[m][3][j]),
            F16Factor::pack(sums[m][0][j + 1], sums[m][1][j + 1]),
            F16Factor::pack(sums[m][2][j + 1], sums[m][3][j + 1]));
      }
    }
  }
  for (int i = threadIdx.x; i < kMlaTile * kRopeUnits; i += 32 * kWarps)
    to[i / kRopeUnits * kExpandedUnits + 128 / 8 + i % kRopeUnits] =
        tile.rope[i / kRopeUnits][i % kRopeUnits];
}

// Tiles are numbered over the sequences that have rows in the step.
struct TilesOfSequence {
  const MlaCacheGpu& cache;

  __device__ int operator()(int sequence) const {
    return num_rows(cache, sequence) > 0 ? (cache.kv_lengths[sequence] + kMlaTile - 1) / kMlaTile : 0;
  }
};

}  // namespace musaic
