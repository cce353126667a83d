#pragma once

#include "ir/op.h"
#include "ops/linear_fp8/linear_fp8_gpu.h"

namespace musaic {

inline LinearFp8Call linear_fp8_call(const KernelCall& call) {
  const Tensor &q = call.inputs[0], &weight = call.inputs[2];
  const bool has_bias = call.inputs.size() > 4 && call.inputs[4].defined();
  return {.q = q.as<const uint8_t>(),
          .scale = call.inputs[1].as<const float>(),
          .weight = weight.as<const uint8_t>(),
          .weight_scale = call.inputs[3].as<const float>(),
          .bias = has_bias ? call.inputs[4].data : nullptr,
          .bias_dtype = has_bias ? call.inputs[4].dtype : DType::kF32,
          .y = call.outputs[0].as<float>(),
          .rows = q.shape[0],
          .n = weight.shape[0],
          .k = weight.shape[1],
          .live_rows = call.live_rows};
}

}  // namespace musaic
