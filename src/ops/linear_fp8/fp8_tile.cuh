#pragma once

#include "ops/linear/stripes_gpu.cuh"
#include "ops/linear_fp8/k_steps.cuh"

namespace musaic {

// What every tile of a call shares. Tensors as in LinearFp8Call.
struct Fp8Operands {
  const uint8_t* q;
  const float* scale;
  const int32_t* row_token;  // null: row i of y is that of row i of q
  const void* bias;
  DType bias_dtype;
  float* y;
  int64_t n;
  int64_t k;

  __device__ int64_t groups() const { return (k + kScaleGroup - 1) / kScaleGroup; }
  __device__ int64_t x_row(int64_t row) const { return row_token == nullptr ? row : row_token[row]; }
};

// Columns of y that share their scales of the weight, and rows that share the weight.
struct Fp8Tile {
  const uint8_t* weight;      // of the first column
  const float* weight_scale;  // [groups]
  int64_t first_column;
  int64_t first_row;
  int columns;
  int rows;
};

// A weight [n, k] of `parts` equal parts, and its scales.
struct Fp8Weight {
  const uint8_t* values;
  const float* scale;
  int64_t part_columns;
  int64_t parts;
  int64_t k;

  template <int kColumns>
  __host__ __device__ int tiles_of_part() const {
    return static_cast<int>((part_columns + kColumns - 1) / kColumns);
  }
  // Tiles of kColumns lie within a part and within a block of scales.
  template <int kColumns>
  __host__ __device__ int64_t num_tiles() const {
    static_assert(kScaleGroup % kColumns == 0, "within a block of scales");
    return parts * tiles_of_part<kColumns>();
  }
  // A part's tile, without rows.
  template <int kColumns>
  __device__ Fp8Tile tile(int part, int index) const {
    const int part_size = static_cast<int>(part_columns);
    const int column = index * kColumns;
    const int blocks_of_part = (part_size + kScaleGroup - 1) / kScaleGroup;
    const int groups = (static_cast<int>(k) + kScaleGroup - 1) / kScaleGroup;
    Fp8Tile tile = {};
    tile.first_column = part * part_columns + column;
    tile.columns = part_size - column < kColumns ? part_size - column : kColumns;
    tile.weight = values + tile.first_column * k;
    tile.weight_scale = scale + (part * blocks_of_part + column / kScaleGroup) * groups;
    return tile;
  }
};

// Rows whose pieces are whole and lie at multiples of 16 bytes.
inline bool has_pieces(const uint8_t* q, const uint8_t* weight, int64_t k) {
  const auto lies_at = [](const void* address) { return reinterpret_cast<uintptr_t>(address) % kPiece == 0; };
  return k % kPiece == 0 && lies_at(q) && lies_at(weight);
}

__device__ inline void write_fp8(const Fp8Operands& operands, int64_t row, int64_t column, float sum) {
  if (operands.bias != nullptr) sum += bias_value(operands.bias, operands.bias_dtype, column);
  operands.y[row * operands.n + column] = sum;
}

}  // namespace musaic
