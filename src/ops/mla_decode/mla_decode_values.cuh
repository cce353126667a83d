#pragma once

#include "ops/mla_decode/mla_decode_factors.cuh"
#include "ops/mla_decode/mla_decode_shape.cuh"

namespace musaic::mla_decode_sm90 {

// A warp's sixteen value rows of kv_b as left factors, in chunks of 64 columns: sixteen neighbouring ones a
// lane, which are four steps of a product.
struct ValueRows {
  static constexpr int kChunks = kRank / 64, kChunksOfScale = kScaleBlock / 64;
  static constexpr int kAhead = 5;  // registers have no room for more
  const uint8_t* rows;              // of the lane
  uint32_t ahead[kAhead][4][4];

  // While what they will be multiplied with is on its way.
  __device__ void convert_ahead(const uint8_t* stage, const MatrixLane& lane) {
    rows = stage + (16 * lane.warp + lane.g) * kPaddedValueRow + 16 * lane.t;
#pragma unroll
    for (int chunk = 0; chunk < kAhead; ++chunk) convert(chunk, ahead[chunk]);
  }
  __device__ void convert(int chunk, uint32_t (&words)[4][4]) const {
    const uint4 upper = *reinterpret_cast<const uint4*>(rows + 64 * chunk);
    const uint4 lower = *reinterpret_cast<const uint4*>(rows + 64 * chunk + 8 * kPaddedValueRow);
    const uint32_t codes[4][2] = {
        {upper.x, lower.x}, {upper.y, lower.y}, {upper.z, lower.z}, {upper.w, lower.w}};
#pragma unroll
    for (int step = 0; step < 4; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) words[step][i] = f16_of_f8(codes[step][i % 2] >> (i / 2 * 16));
    }
  }
};

// The head's values of all sequences. scales: of kv_b's blocks.
template <class Size>
__device__ void multiply_values(const ValueRows& rows, const float (&scales)[kRank / kScaleBlock],
                                const MatrixLane& lane, Memory<Size>& memory) {
  float sums[kRank / kScaleBlock][4] = {};
#pragma unroll
  for (int chunk = 0; chunk < ValueRows::kChunks; ++chunk) {
    uint4 columns[2] = {};  // 2s and 2s + 1 are the parts of sequence s
    if (lane.g < 2 * Size::kSequences) {
      const uint8_t* from = memory.attended[lane.g / 2][lane.g % 2] + (64 * chunk + 16 * lane.t) * 2;
      columns[0] = reinterpret_cast<const uint4*>(from)[0];
      columns[1] = reinterpret_cast<const uint4*>(from)[1];
    }
    uint32_t late[4][4];
    if (chunk >= ValueRows::kAhead) rows.convert(chunk, late);
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint4& four = columns[step / 2];
      const uint32_t right[2] = {step % 2 == 0 ? four.x : four.z, step % 2 == 0 ? four.y : four.w};
      const uint32_t(&left)[4] = *(chunk < ValueRows::kAhead ? &rows.ahead[chunk][step] : &late[step]);
      KvBProduct::add(sums[chunk / ValueRows::kChunksOfScale], left, right);
    }
  }
  float values[2] = {};
#pragma unroll
  for (int block = 0; block < kRank / kScaleBlock; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      values[half] = fmaf(sums[block][2 * half] + sums[block][2 * half + 1], scales[block], values[half]);
  }
  if (lane.t >= Size::kSequences) return;  // of a quad lane t has sequence t
  memory.values[lane.t][16 * lane.warp + lane.g] = values[0];
  memory.values[lane.t][16 * lane.warp + lane.g + 8] = values[1];
}

}  // namespace musaic::mla_decode_sm90
