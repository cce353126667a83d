#pragma once

#include <algorithm>

#include "ops/grouped_linear/grouped_linear_gpu.h"
#include "ops/linear_fp8/fp8_tiles_sm90.cuh"
#include "ops/linear_fp8/linear_fp8_gpu.h"

// What multiply_fp8_tiles is told of a call.
namespace musaic {

// `parts`: how many weights are stacked in it, each with blocks of its own.
inline Fp8Tiles tiles_of(const LinearFp8Call& call, int parts = 1) {
  Fp8Tiles tiles = {};
  tiles.q = call.q;
  tiles.scale = call.scale;
  tiles.live_rows = call.live_rows;
  tiles.weight_scale = call.weight_scale;
  tiles.bias = call.bias;
  tiles.bias_dtype = call.bias_dtype;
  tiles.y = call.y;
  tiles.y_dtype = DType::kF32;
  tiles.rows = call.rows;
  tiles.num_experts = 1;
  tiles.parts = parts;
  tiles.part_columns = static_cast<int>(call.n / parts);
  tiles.groups = static_cast<int>(call.k / 128);
  return tiles;
}

inline Fp8Tiles tiles_of(const GroupedLinearFp8Call& call) {
  Fp8Tiles tiles = {};
  tiles.q = call.q;
  tiles.scale = call.scale;
  tiles.row_token = call.row_token;
  tiles.start = call.start;
  tiles.count = call.count;
  tiles.weight_scale = call.weight_scale;
  tiles.y = call.y;
  tiles.y_dtype = DType::kF32;
  tiles.rows = call.rows;
  tiles.num_experts = static_cast<int>(call.num_experts);
  tiles.parts = static_cast<int>(call.parts);
  tiles.part_columns = static_cast<int>(call.n / call.parts);
  tiles.groups = static_cast<int>(call.k / 128);
  return tiles;
}

// How many tiles of rows are not empty, at most.
template <class Shape>
int64_t row_tiles(const LinearFp8Call& call) {
  return (call.rows + Shape::kRows - 1) / Shape::kRows;
}

template <class Shape>
int64_t row_tiles(const GroupedLinearFp8Call& call) {
  return std::min(call.rows, call.rows / Shape::kRows + call.num_experts);
}

}  // namespace musaic
