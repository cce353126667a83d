#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// How linear_q8's kernels want a weight [n, k]: in panels of 16 output columns, so that a vector's lanes are
// columns and no sum crosses lanes. A panel holds, for its k/32 blocks, first the scales of all, then the
// quants of all. Missing columns of the last panel are zero.
//   quants of a block: 4 × 64 bytes of nibbles: byte [l][column][i] has value k = 4l + i in its low half and
//   k = 16 + 4l + i in its high half; then the bits above 4, if any, as "bit planes" of 64 bytes
//   [column][i]: 1 bit a group of 4 values (bit g), or 2 planes of 2 bits a group (groups 0-3, 4-7).
//   8-bit quants: 8 × 64 bytes, byte [g][column][i] has value k = 4g + i, plus 128.
//   scales of a block: 16 × f16 d, then 16 × f16 m where the format has m.
//   Q4_K, Q5_K: of 8 blocks 16 × f16 d, 16 × f16 m, then per block 16 scales and 16 mins as bytes.
//   Q6_K: of 8 blocks 16 × f16 d, then per block 16 scales as i8 for each half of 16 values.
constexpr int kPanelColumns = 16;
constexpr int kBlockValues = 32;

struct PanelFormat {
  int group_blocks;       // blocks that share a group of scales
  int group_scale_bytes;  // of one such group
  int quant_bytes;        // of one block
};

constexpr PanelFormat panel_format(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return {1, 32, 256};
    case DType::kQ4_1:
      return {1, 64, 256};
    case DType::kQ5_0:
      return {1, 32, 256 + 64};
    case DType::kQ5_1:
      return {1, 64, 256 + 64};
    case DType::kQ8_0:
      return {1, 32, 512};
    case DType::kQ4_K:
      return {8, 64 + 8 * 32, 256};
    case DType::kQ5_K:
      return {8, 64 + 8 * 32, 256 + 64};
    case DType::kQ6_K:
      return {8, 32 + 8 * 32, 256 + 128};
    default:
      return {0, 0, 0};  // has no panels
  }
}

constexpr size_t panel_scale_bytes(DType dtype, int64_t blocks) {
  const PanelFormat format = panel_format(dtype);
  const size_t bytes = static_cast<size_t>(blocks / format.group_blocks) * format.group_scale_bytes;
  return (bytes + 63) / 64 * 64;  // the quants begin at a cache line
}

constexpr size_t panel_bytes(DType dtype, int64_t blocks) {
  return panel_scale_bytes(dtype, blocks) + static_cast<size_t>(blocks) * panel_format(dtype).quant_bytes;
}

}  // namespace musaic
