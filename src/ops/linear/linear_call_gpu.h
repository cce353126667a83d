#pragma once

#include "backends/gpu/kernel_call.h"
#include "ir/op.h"
#include "ops/linear/linear_gpu.h"

namespace musaic {

inline LinearCall linear_call(const KernelCall& call) {
  const Tensor& weight = call.inputs[1];
  const bool has_bias = call.inputs.size() > 2 && call.inputs[2].defined();
  return {.x = device_rows(call.inputs[0]),
          .y = device_rows(call.outputs[0]),
          .weight = weight.as<const uint8_t>(),
          .weight_dtype = weight.dtype,
          .weight_row_bytes = static_cast<int64_t>(byte_size(weight.dtype, weight.shape[1])),
          .bias = has_bias ? call.inputs[2].data : nullptr,
          .bias_dtype = has_bias ? call.inputs[2].dtype : DType::kF32,
          .live_rows = call.live_rows};
}

}  // namespace musaic
