#pragma once

#include "ir/op.h"
#include "ops/grouped_linear/grouped_linear_gpu.h"

namespace musaic {

inline GroupedLinearFp8Call grouped_linear_fp8_call(const KernelCall& call) {
  const auto in = call.inputs;
  const Tensor& weight = in[5];
  return {.q = in[0].as<const uint8_t>(),
          .scale = in[1].as<const float>(),
          .row_token = in[2].defined() ? in[2].as<const int32_t>() : nullptr,
          .start = in[3].as<const int32_t>(),
          .count = in[4].as<const int32_t>(),
          .num_experts = weight.shape[0],
          .weight = weight.as<const uint8_t>(),
          .weight_scale = in[6].as<const float>(),
          .parts = call.attributes.get_int("parts"),
          .y = call.outputs[0].as<float>(),
          .rows = call.outputs[0].shape[0],
          .tokens = in[0].shape[0],
          .n = weight.shape[1],
          .k = weight.shape[2]};
}

}  // namespace musaic
