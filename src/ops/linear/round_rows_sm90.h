#pragma once

#include "ops/linear/linear_tile_gpu.h"

namespace musaic {

// What products take of x, made once for all tiles: its rows times the norm's weights in bf16, and the norm's
// factors, with the bits of tiles that read x itself.
struct RoundedRows {
  uint32_t* pairs;  // [rows, k / 2]
  float* factors;   // [rows]; null: no norm

  static RoundedRows of(const LinearTileCall& call) {
    const DeviceRows& x = call.linear.x;
    auto* pairs = static_cast<uint32_t*>(call.rounded);
    float* factors = reinterpret_cast<float*>(pairs + x.outer * x.width / 2);
    return {pairs, call.norm_weight != nullptr ? factors : nullptr};
  }
};

// REQUIRES: rows of x and call.rounded at multiples of 16 bytes; compute capability 9.0.
void launch_rounding(const LinearTileCall& call, const RoundedRows& rounded, gpuStream_t stream);

}  // namespace musaic
