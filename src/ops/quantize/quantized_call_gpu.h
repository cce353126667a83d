#pragma once

#include <span>

#include "ops/quantize/quantize_gpu.h"
#include "tensor/tensor.h"

namespace musaic {

// REQUIRES: outputs as quantize_q8 has them.
inline QuantizedRowsOut quantized_rows_out(std::span<const Tensor> outputs) {
  return {outputs[0].as<int8_t>(), outputs[1].as<float>(), outputs[2].as<float>(), outputs[1].shape[1]};
}

}  // namespace musaic
