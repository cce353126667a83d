#pragma once

#include "hopper_f16.cuh"
#include "ops/linear/tiles_sm90.cuh"
#include "ops/mla_attention/mla_expanded_sm90.h"
#include "ops/mla_attention/mla_tiles.cuh"

// Keys and values of tiles of 128 positions, made from latents in FP8 by warpgroups' products with kv_b. A
// sum over the rank is made group by group of 128, as multiply_fp8_tiles does, in every shape of tile.
namespace musaic {

inline constexpr int kLatentGroups = kMlaMatrixRank / 128;
inline constexpr int kHeadColumns = 256;  // rows of kv_b: a head's keys, then its values
inline constexpr int kWeightRows = 64;    // of kv_b, in one copy

// Swizzled rows of 64 f16 values, one a position.
using TileColumns = uint8_t[kMlaWideTile][kSwizzledRow];

// What a head has of a tile: columns 0 to 63 and 64 to 127 of keys, then of values.
using HeadTile = TileColumns[4];

// Where tiles lie in memory: the heads' parts, then the rotated keys.
struct WideTiles {
  uint8_t* data;
  int heads;

  __device__ uint8_t* tile(int64_t index) const {
    return data + index * (heads * int64_t{sizeof(HeadTile)} + int64_t{sizeof(TileColumns)});
  }
  __device__ HeadTile& head(int64_t index, int head) const {
    return reinterpret_cast<HeadTile*>(tile(index))[head];
  }
  __device__ TileColumns& rope(int64_t index) const {
    return *reinterpret_cast<TileColumns*>(tile(index) + heads * sizeof(HeadTile));
  }
};

// Tiles are numbered over the sequences that have rows in the step.
struct WideTilesOfSequence {
  const MlaCacheGpu& cache;

  __device__ int operator()(int sequence) const {
    return num_rows(cache, sequence) > 0 ? (cache.kv_lengths[sequence] + kMlaWideTile - 1) / kMlaWideTile : 0;
  }
};

// Latents of neighbouring positions in FP8, as linear_fp8's rows.
inline constexpr int kLatentRows = kWarpgroupRows;
struct LatentRows {
  uint8_t codes[kLatentGroups][kLatentRows][kSwizzledRow];
  float scales[kLatentGroups][kLatentRows];
  int64_t from[kLatentRows];  // where rows begin in the cache, -1: none, zeros
};

// A lane's quarter of a group of a row: values 8(t + 4i) and the seven behind, t being lane % 4.
struct LatentQuarter {
  uint4 bits[4];

  __device__ void load(const MlaCacheGpu& cache, int64_t from, int group) {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      bits[i] =
          from < 0
              ? make_uint4(0, 0, 0, 0)
              : *reinterpret_cast<const uint4*>(cache.data + 2 * (from + group * 128) + 16 * (t + 4 * i));
  }
  // Into the group's 128 bytes; returns the scale.
  template <DType kCache>
  __device__ float quantize(uint8_t (&row)[kSwizzledRow], int row_number) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
    float values[4][kPacket];
    float largest = 1e-10f;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      cached_values(kCache, bits[i], values[i]);
#pragma unroll
      for (int j = 0; j < kPacket; ++j) largest = fmaxf(largest, fabsf(values[i][j]));
    }
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
    const float scale = __fdiv_rn(largest, 448.0f), inverse = __fdiv_rn(1.0f, scale);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      uint32_t words[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float* four = &values[i][4 * j];
        words[j] = f8e4m3_pair(quotient(four[0], scale, inverse), quotient(four[1], scale, inverse)) |
                   static_cast<uint32_t>(
                       f8e4m3_pair(quotient(four[2], scale, inverse), quotient(four[3], scale, inverse)))
                       << 16;
      }
      const int unit = t + 4 * i;
      *reinterpret_cast<uint2*>(row + ((unit / 2 ^ (row_number & 7)) << 4) + unit % 2 * 8) =
          make_uint2(words[0], words[1]);
    }
    return scale;
  }
};

// What kThreads threads that meet at a barrier of their own, `number`, do with latents. `thread` is the
// calling thread's place among them.
template <int kThreads, int kAtOnce>
struct LatentLoader {
  const MlaCacheGpu& cache;
  LatentRows& rows;
  int thread;

  __device__ void locate(int sequence, int begin) const {
    const int end = cache.kv_lengths[sequence];
    for (int row = thread; row < kLatentRows; row += kThreads)
      rows.from[row] = begin + row < end ? cached_row(cache, sequence, begin + row) : -1;
  }
  __device__ void quantize() const {
    if (cache.dtype == DType::kF16) return quantize_type<DType::kF16>();
    quantize_type<DType::kBF16>();
  }
  // Rotated keys, into rows `first` and up of `to`.
  __device__ void copy_rope(TileColumns& to, int first) const {
    constexpr int kPieces = kSwizzledRow / 16;
    for (int i = thread; i < kLatentRows * kPieces; i += kThreads) {
      const int row = i / kPieces, piece = i % kPieces;
      const int64_t from = rows.from[row];
      uint4 bits = make_uint4(0, 0, 0, 0);
      if (from >= 0)
        bits = *reinterpret_cast<const uint4*>(cache.data + 2 * (from + kMlaMatrixRank) + 16 * piece);
      float values[kPacket];
      cached_values(cache.dtype, bits, values);
      *reinterpret_cast<uint4*>(&to[0][0] + swizzled_offset(first + row, piece)) = packed_f16(values);
    }
  }

 private:
  // A warp has a group of eight rows at once, a lane a quarter of a row's.
  template <DType kCache>
  __device__ void quantize_type() const {
    constexpr int kWarps = kThreads / kWarpSize, kSteps = kLatentRows / 8 * kLatentGroups / kWarps;
    static_assert(kWarps % kLatentGroups == 0 && kSteps % kAtOnce == 0, "equal shares");
    const int warp = thread / kWarpSize, group = warp % kLatentGroups;
    const int first = warp / kLatentGroups * 8 + thread % kWarpSize / 4;
    constexpr int kRowStep = kWarps / kLatentGroups * 8;
#pragma unroll 1
    for (int step = 0; step < kSteps; step += kAtOnce) {
      LatentQuarter quarters[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        quarters[i].load(cache, rows.from[first + (step + i) * kRowStep], group);
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int row = first + (step + i) * kRowStep;
        const float scale = quarters[i].template quantize<kCache>(rows.codes[group][row], row);
        if (thread % 4 == 0) rows.scales[group][row] = scale;
      }
    }
  }
};

// kv_b's scales of the groups of a block of 128 rows.
struct BlockScales {
  float groups[kLatentGroups];

  __device__ BlockScales(const KvBGpu& kv_b, int row) {
#pragma unroll
    for (int i = 0; i < kLatentGroups; ++i) groups[i] = kv_b.scale[row / 128 * kv_b.scale_columns + i];
  }
};

// sum = the latents times 64 rows of kv_b, by a warpgroup. `weights` are their values of group 0, those of
// the next groups lie kGroupBytes on.
template <int kGroupBytes>
__device__ inline void multiply_latents(const LatentRows& latents, const uint8_t* weights,
                                        const BlockScales& scales, float (&sum)[kWeightRows / 2]) {
  constexpr int kSums = kWeightRows / 2;
  const int row = first_row_of_thread();
#pragma unroll
  for (int i = 0; i < kSums; ++i) sum[i] = 0.0f;
#pragma unroll
  for (int group = 0; group < kLatentGroups; ++group) {
    const uint64_t left = swizzled_rows(shared_address(&latents.codes[group]));
    const uint64_t right = swizzled_rows(shared_address(weights + group * kGroupBytes));
    float product[kSums];
    start_fp8_group<kWeightRows>(left, right, product);
    const float block = scales.groups[group];
    const float upper = latents.scales[group][row] * block, lower = latents.scales[group][row + 8] * block;
    wait_for_products<0>(product);
    add_scaled(product, upper, lower, sum);
  }
}

// Of four neighbouring lanes' words each lane gets one number's, in the lanes' order: the first lane's that
// of word 0.
__device__ inline uint4 transposed(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const bool is_odd = threadIdx.x % 2 != 0, is_upper = threadIdx.x % 4 >= 2;
  const uint32_t ab = __shfl_xor_sync(kAllLanes, is_odd ? a : b, 1);
  const uint32_t cd = __shfl_xor_sync(kAllLanes, is_odd ? c : d, 1);
  if (is_odd) {
    a = ab, c = cd;
  } else {
    b = ab, d = cd;
  }
  const uint32_t ac = __shfl_xor_sync(kAllLanes, is_upper ? a : c, 2);
  const uint32_t bd = __shfl_xor_sync(kAllLanes, is_upper ? b : d, 2);
  if (is_upper) {
    a = ac, b = bd;
  } else {
    c = ac, d = bd;
  }
  return make_uint4(a, b, c, d);
}

// What multiply_latents gives into rows `first_row` and up.
__device__ inline void store_columns(const float (&sum)[kWeightRows / 2], int first_row, TileColumns& to) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {  // of 32 columns
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t words[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float* pair = &sum[16 * i + 4 * j + 2 * half];
        words[j] = F16Factor::pack(pair[0], pair[1]);
      }
      const int row = first_row + first_row_of_thread() + 8 * half;
      *reinterpret_cast<uint4*>(&to[0][0] + swizzled_offset(row, i * 4 + t)) =
          transposed(words[0], words[1], words[2], words[3]);
    }
  }
}

}  // namespace musaic
