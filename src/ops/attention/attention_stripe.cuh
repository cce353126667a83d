#pragma once

#include "ops/attention/attention_tile.cuh"

// One warp's share of a tile: blocks of positions, one after the other. A lane has one position of the scores
// and kDims dimensions of the values.
namespace musaic {

// kRows query rows; head dimensions up to 32 · kDims_.
template <DType kType_, int kRows_, int kDims_>
struct AttentionShape {
  static constexpr DType kType = kType_;
  static constexpr int kRows = kRows_;
  static constexpr int kDims = kDims_;
  static constexpr int kPaddedDim = 32 * kDims;
  static constexpr int kValueBytes = kType == DType::kF32 ? 4 : 2;
  // On a multiprocessor, where registers suffice.
  static constexpr int kBlocksAtOnce = kRows == 8 && kDims * kValueBytes <= 4 ? 2 : 1;
  // Few rows: a block's values are on their way while its scores are computed.
  static constexpr bool kReadsValuesEarly = kRows <= 4 && kDims * kValueBytes <= 8;
};

template <class Shape>
struct alignas(16) TileMemory {
  float query[Shape::kRows][Shape::kPaddedDim];  // times scale
  int positions[Shape::kRows];                   // −1: no row
  float maximum[kAttentionWarps][Shape::kRows];
  float weight[kAttentionWarps][Shape::kRows];
  union {
    float weights[kAttentionWarps][Shape::kRows][kKvBlock];        // of one block
    float sums[kAttentionWarps][Shape::kRows][Shape::kPaddedDim];  // of a span's stripes
  };
};

template <class Shape>
class Stripe {
 public:
  __device__ Stripe(const AttentionCall& call, const RowTile& tile, int kv_head, TileMemory<Shape>& memory)
      : call_(call),
        memory_(memory),
        pages_(call.page_table + tile.sequence * call.max_pages),
        kv_head_(kv_head),
        warp_(static_cast<int>(threadIdx.x) / 32),
        lane_(static_cast<int>(threadIdx.x) % 32) {}

  __device__ void clear() {
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
      maximum_[row] = kNoMaximum;
      weight_[row] = 0.0f;
#pragma unroll
      for (int i = 0; i < Shape::kDims; ++i) sums_[row][i] = 0.0f;
    }
  }

  // Positions [begin, begin + kKvBlock), of which those before `end` are stored and seen by some row.
  __device__ void add_block(int begin, int end) {
    const int count = min(kKvBlock, end - begin);
    cache_row_ = lane_ < count ? row_in_cache(begin + lane_) : 0;
    float scores[Shape::kRows];
    Values values[Shape::kReadsValuesEarly ? kKvBlock : 1];
    if constexpr (Shape::kReadsValuesEarly) {
#pragma unroll
      for (int j = 0; j < kKvBlock; ++j) load_value(j, count, values[j]);
    }
    score(count, scores);
    weigh(begin, scores);
    __syncwarp();
    add_values(count, values);
    __syncwarp();
  }

  // Its sums into the tile's memory. REQUIRES: no warp uses `weights` any more.
  __device__ void put() const {
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
      if (lane_ == 0) {
        memory_.maximum[warp_][row] = maximum_[row];
        memory_.weight[warp_][row] = weight_[row];
      }
#pragma unroll
      for (int i = 0; i < Shape::kDims; ++i)
        memory_.sums[warp_][row][lane_ * Shape::kDims + i] = sums_[row][i];
    }
  }

 private:
  using Values = ValuePack<Shape::kType, Shape::kDims>;
  static constexpr int kFour = 4;        // positions whose weights are read at once
  static constexpr int kKeyPackets = 8;  // of a position's key that are under way at once

  __device__ int64_t row_in_cache(int position) const {
    const int64_t page = pages_[position / call_.page_size];
    return (page * call_.kv_heads + kv_head_) * call_.page_size + position % call_.page_size;
  }
  __device__ int64_t row_bytes() const {
    return static_cast<int64_t>(call_.head_dim) * Shape::kValueBytes;
  }

  // The lane's dimensions of position j; 0 where there is none.
  __device__ void load_value(int j, int count, Values& out) const {
    const int64_t row = __shfl_sync(kAllLanes, cache_row_, j);
    out.clear();
    if (j < count && lane_ * Shape::kDims < call_.head_dim)
      out.load(call_.value_cache + row * row_bytes() + lane_ * Values::kBytes);
  }

  // scores[row] = query row · key of the lane's position.
  __device__ void score(int count, float (&scores)[Shape::kRows]) {
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) scores[row] = 0.0f;
    const uint8_t* key = call_.key_cache + cache_row_ * row_bytes();
    const int num_packets = call_.head_dim / kPacket;
#pragma unroll 1
    for (int first = 0; first < num_packets; first += kKeyPackets) {
      WeightPacket<Shape::kType> packets[kKeyPackets];
      if (lane_ < count) {
#pragma unroll
        for (int i = 0; i < kKeyPackets; ++i) packets[i].load(key, min(first + i, num_packets - 1));
      }
      __syncwarp();  // all loads are under way before the first is used
#pragma unroll
      for (int i = 0; i < kKeyPackets; ++i) {
        if (first + i >= num_packets) break;
        float keys[kPacket];
        packets[i].values(first + i, keys);
        add_scores((first + i) * kPacket, keys, scores);
      }
    }
  }

  __device__ void add_scores(int dim, const float (&keys)[kPacket], float (&scores)[Shape::kRows]) const {
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
      const float4* query = reinterpret_cast<const float4*>(memory_.query[row] + dim);
      const float4 low = query[0], high = query[1];
      const float q[kPacket] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int i = 0; i < kPacket; ++i) scores[row] = fmaf(q[i], keys[i], scores[row]);
    }
  }

  // Scores become weights 2^(score − maximum of the block), 0 where a row does not see the lane's position;
  // sums so far become those relative to the new maximum.
  __device__ void weigh(int begin, const float (&scores)[Shape::kRows]) {
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
      const int position = memory_.positions[row];
      take_[row] = 0.0f;
      const bool sees = begin + lane_ <= position;
      float weight = 0.0f;
      if (begin <= position) {
        const float maximum = warp_maximum(sees ? scores[row] : kNoMaximum);
        weight = sees ? exp2f(scores[row] - maximum) : 0.0f;
        const float largest = fmaxf(maximum_[row], maximum);
        const float keep = exp2f(maximum_[row] - largest);
        take_[row] = exp2f(maximum - largest);
        weight_[row] = fmaf(weight_[row], keep, warp_sum(weight) * take_[row]);
        maximum_[row] = largest;
#pragma unroll
        for (int i = 0; i < Shape::kDims; ++i) sums_[row][i] *= keep;
      }
      memory_.weights[warp_][row][lane_] = weight;
    }
  }

  __device__ static float warp_maximum(float value) {
    for (int distance = 16; distance > 0; distance /= 2)
      value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
    return value;
  }

  __device__ void add_values(int count, const Values* early) {
    float block[Shape::kRows][Shape::kDims];
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
#pragma unroll
      for (int i = 0; i < Shape::kDims; ++i) block[row][i] = 0.0f;
    }
    if constexpr (Shape::kReadsValuesEarly) {
#pragma unroll
      for (int j = 0; j < kKvBlock; j += kFour)
        if (j < count) add_four(j, early + j, block);
    } else {
      for (int j = 0; j < count; j += kFour) {
        Values values[kFour];
#pragma unroll
        for (int i = 0; i < kFour; ++i) load_value(j + i, count, values[i]);
        add_four(j, values, block);
      }
    }
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
#pragma unroll
      for (int i = 0; i < Shape::kDims; ++i) sums_[row][i] = fmaf(block[row][i], take_[row], sums_[row][i]);
    }
  }

  __device__ void add_four(int first, const Values* values,
                           float (&block)[Shape::kRows][Shape::kDims]) const {
#pragma unroll
    for (int row = 0; row < Shape::kRows; ++row) {
      const float4 four = *reinterpret_cast<const float4*>(&memory_.weights[warp_][row][first]);
      const float weights[kFour] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int j = 0; j < kFour; ++j) {
#pragma unroll
        for (int i = 0; i < Shape::kDims; ++i)
          block[row][i] = fmaf(weights[j], values[j].value(i), block[row][i]);
      }
    }
  }

  const AttentionCall& call_;
  TileMemory<Shape>& memory_;
  const int32_t* pages_;
  int kv_head_;
  int warp_;
  int lane_;
  int64_t cache_row_ = 0;  // of the lane's position
  float maximum_[Shape::kRows];
  float weight_[Shape::kRows];
  float take_[Shape::kRows];  // factor of the current block
  float sums_[Shape::kRows][Shape::kDims];
};

}  // namespace musaic
