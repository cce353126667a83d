#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// One panel of 16 weight columns times some quantized rows: what an instruction set's kernel computes.
struct Q8Tile {
  const int8_t* q;  // [rows, blocks·32]
  int64_t q_stride;
  const float* scale;  // [rows, blocks]
  int64_t scale_stride;
  const float* sums;  // [rows, blocks]
  int64_t sums_stride;
  const uint8_t* scales;  // the panel's, of q8_panel.h
  const uint8_t* quants;
  int64_t prefetch;  // bytes from this panel to one that is worked on soon; 0: none
  int64_t blocks;
  const float* bias;  // `columns` values, or null
  float* out;         // [rows, columns]
  int64_t out_stride;
  int64_t rows;
  int columns;  // 1..16
};

// For each row and column, over the blocks in order: y = fma(d, scale·dot, y), y = fma(m, sums, y), with the
// dot product of the block in integers. So a row's result is the same in a tile of any size.
using Q8TileKernel = void (*)(const Q8Tile& tile);

// nullptr: no kernel for the type.
Q8TileKernel q8_tile_vnni(DType dtype);
Q8TileKernel q8_tile_avx512(DType dtype);
Q8TileKernel q8_tile_avx2(DType dtype);

}  // namespace musaic
