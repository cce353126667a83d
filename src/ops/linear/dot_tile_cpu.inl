// Products of float32 rows with float32 weight rows, compiled once a target: include inside a file that
// includes hwy/foreach_target.h. Every product is summed over k in one order, whatever the tile: so a result
// does not depend on how many rows or columns there are.

#if defined(MUSAIC_OPS_LINEAR_DOT_TILE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_LINEAR_DOT_TILE_INL
#undef MUSAIC_OPS_LINEAR_DOT_TILE_INL
#else
#define MUSAIC_OPS_LINEAR_DOT_TILE_INL
#endif

#include <cstdint>

#include "backends/cpu/simd.inl"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

// Accumulators of a tile fill the registers: 4 × 6 of 32, or 3 × 4 of 16.
constexpr int kTileRows = HWY_MAX_BYTES == 64 ? 4 : 3;
constexpr int kTileColumns = HWY_MAX_BYTES == 64 ? 6 : 4;

// Values [0, k) of some rows and weight columns, and where their products go.
struct FloatTile {
  const float* x;
  int64_t x_stride;
  const float* weight;
  int64_t weight_stride;
  int64_t k;
  float* y;
  int64_t y_stride;
  bool is_first;  // else the result is added to y
};

// One vector of partial sums for each row and column, whatever the tile: so a result does not depend on it.
template <int kRows, int kColumns>
HWY_INLINE void dot_tile(const FloatTile& tile, int64_t row, int64_t column) {
  const float* x = tile.x + row * tile.x_stride;
  const float* weight = tile.weight + column * tile.weight_stride;
  FloatVector sums[kRows][kColumns];
  for (auto& row_sums : sums) {
    for (FloatVector& sum : row_sums) sum = hn::Zero(FloatTag());
  }
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes()) <= tile.k; i += lanes()) {
    FloatVector values[kRows];
    for (int r = 0; r < kRows; ++r) values[r] = load(x + r * tile.x_stride + i);
    for (int c = 0; c < kColumns; ++c) {
      const FloatVector weights = load(weight + c * tile.weight_stride + i);
      for (int r = 0; r < kRows; ++r) sums[r][c] = hn::MulAdd(values[r], weights, sums[r][c]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) {
      float sum = sum_of_lanes(sums[r][c]);
      for (int64_t j = i; j < tile.k; ++j)
        sum = __builtin_fmaf(x[r * tile.x_stride + j], weight[c * tile.weight_stride + j], sum);
      float* y = tile.y + (row + r) * tile.y_stride + column + c;
      *y = tile.is_first ? sum : *y + sum;
    }
  }
}

template <int kRows>
HWY_INLINE void dot_columns(const FloatTile& tile, int64_t row, int64_t columns) {
  int64_t column = 0;
  for (; column + kTileColumns <= columns; column += kTileColumns)
    dot_tile<kRows, kTileColumns>(tile, row, column);
  for (; column < columns; ++column) dot_tile<kRows, 1>(tile, row, column);
}

HWY_INLINE void dot_rows(const FloatTile& tile, int64_t rows, int64_t columns) {
  int64_t row = 0;
  for (; row + kTileRows <= rows; row += kTileRows) dot_columns<kTileRows>(tile, row, columns);
  if (rows - row == 3) return dot_columns<3>(tile, row, columns);
  if (rows - row == 2) return dot_columns<2>(tile, row, columns);
  if (rows - row == 1) return dot_columns<1>(tile, row, columns);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
