#pragma once

#include <cstdint>
#include <span>

#include "ops/quantize/quantize.h"
#include "tensor/tensor.h"

namespace musaic {

inline constexpr int64_t kQuantizedBlock = QuantizedRows::kBlock;

// Where a kernel writes quantized rows: the three contiguous outputs of musaic::quantize_q8. Trivially
// copyable.
struct QuantizedRowsOut {
  int8_t* q;
  float* scale;
  float* sums;
  int64_t blocks;  // of one row

  // REQUIRES: outputs as quantize_q8 has them.
  static QuantizedRowsOut of(std::span<const Tensor> outputs) {
    return {outputs[0].as<int8_t>(), outputs[1].as<float>(), outputs[2].as<float>(), outputs[1].shape[1]};
  }
};

}  // namespace musaic
