#pragma once

#include <cstdint>

#include "hopper.cuh"
#include "tensor/dtype.h"

// What one launch of FP8 tiles multiplies.
namespace musaic {

// One product. Rows [start, start + count) of expert e are e's; without `start` there is one expert of all
// live rows.
struct Fp8Tiles {
  const uint8_t* q;           // [.., 128 · groups]
  const float* scale;         // [.., groups]
  const int32_t* row_token;   // the row of q of a row of y; null: the same
  const int32_t* start;       // [num_experts]
  const int32_t* count;       // [num_experts]
  const int32_t* live_rows;   // where there is no `start`; null: all
  const float* weight_scale;  // [num_experts, parts · part_blocks, groups]
  const void* bias;           // [parts · part_columns]; null: none
  void* y;                    // [rows, parts · part_columns]
  uint8_t* swiglu_q;          // [rows, part_columns]: instead of y, silu(part 0) · part 1 in FP8
  float* swiglu_scale;        // [rows, part_columns / 128]
  int64_t rows;
  DType bias_dtype;
  DType y_dtype;  // f32; of experts bf16, too
  int num_experts;
  int parts;
  int part_columns;  // a multiple of 4
  int groups;
};

// The largest number of experts whose rows a block keeps in mind.
inline constexpr int kMaxTileExperts = 256;

// Products that one launch makes, those of one expert first, and the maps of their weights.
template <int kProducts>
struct Fp8Work {
  TensorMap weight[kProducts];
  TensorMap rows[kProducts];  // of q, where tiles of rows are copied
  Fp8Tiles product[kProducts];
  // The experts' rows were known before the kernel before this one began: weights are read ahead of its end.
  bool knows_rows;
  // The first product's, whose rows are known: where weights are read once and the others' rows are not, it
  // is on its way to the L2 cache before the kernel before this one has ended.
  const uint8_t* first_weight;
  int64_t first_weight_bytes;
};

struct Fp8Tile {
  int product;
  int expert;        // of the product
  int first_row;     // in y
  int rows;          // of the expert from there on
  int first_column;  // in tiles of columns
};

}  // namespace musaic
