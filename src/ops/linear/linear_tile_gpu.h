#pragma once

#include "ops/linear/linear_gpu.h"

namespace musaic {

// A product with a bf16 weight by matrix units, and what may be fused with it:
//   h = norm_weight given: rms_norm of x; else x
//   y = h · weightᵀ + bias, as swiglu: silu of its first half times the second; with adds_to_y added to y
// What the products take of h is its row times a number: x, times the norm's weights.
struct LinearTileCall {
  LinearCall linear;
  const void* norm_weight = nullptr;  // [k]
  DType norm_dtype = DType::kF32;
  float eps = 0;
  bool swiglu = false;      // y has half the weight's rows as columns
  bool adds_to_y = false;   // y is the sum's first term
  bool rounds_x = false;    // what the products take is rounded to bf16; else it counts to 2^-18 of its size
  void* rounded = nullptr;  // room for rounded_row_bytes of each row of x; null: none
};

// What the products take of a row of k values, in bf16, and its norm's factor.
constexpr int64_t rounded_row_bytes(int64_t k) {
  return 2 * k + static_cast<int64_t>(sizeof(float));
}

// A row's bits depend on neither the other rows nor their number. REQUIRES: a bf16 weight, 16-byte aligned; k
// a multiple of 32; n one of 16, of 32 for swiglu; x and y do not overlap.
void launch_linear_tile(const LinearTileCall& call, gpuStream_t stream);

}  // namespace musaic
