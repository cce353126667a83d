#pragma once

#include "backends/gpu/kernel_call.h"
#include "ir/op.h"
#include "ops/linear/linear_gpu.h"

namespace musaic {

// y = x · weightᵀ + bias of the inputs `weight` and `weight` + 1.
inline LinearCall linear_call(const Tensor& x, const Tensor& y, const KernelCall& call, size_t weight) {
  const Tensor& matrix = call.inputs[weight];
  const bool has_bias = call.inputs.size() > weight + 1 && call.inputs[weight + 1].defined();
  return {.x = device_rows(x),
          .y = device_rows(y),
          .weight = matrix.as<const uint8_t>(),
          .weight_dtype = matrix.dtype,
          .weight_row_bytes = static_cast<int64_t>(byte_size(matrix.dtype, matrix.shape[1])),
          .bias = has_bias ? call.inputs[weight + 1].data : nullptr,
          .bias_dtype = has_bias ? call.inputs[weight + 1].dtype : DType::kF32,
          .live_rows = call.live_rows};
}

// Of aten::linear.
inline LinearCall linear_call(const KernelCall& call) {
  return linear_call(call.inputs[0], call.outputs[0], call, 1);
}

}  // namespace musaic
