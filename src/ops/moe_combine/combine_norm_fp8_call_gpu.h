#pragma once

#include "backends/gpu/kernel_call.h"
#include "ops/moe_combine/moe_combine_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {

inline MoeCombineCall combined_rows(const KernelCall& call) {
  const auto in = call.inputs;
  return {.x = device_rows(in[0]),
          .addend = device_rows(in[3]),
          .y = {},
          .token_row = in[1].as<const int32_t>(),
          .weights = in[2].as<const float>(),
          .top_k = static_cast<int>(in[1].shape[1]),
          .live_rows = call.live_rows};
}

inline RmsNormCall norm_of_combined(const KernelCall& call) {
  const auto in = call.inputs;
  return {.x = {},
          .residual = device_rows(in[4]),
          .extra = {},
          .y = {},
          .weight = in[5].data,
          .weight_dtype = in[5].dtype,
          .eps = static_cast<float>(call.attributes.get_float("eps")),
          .live_rows = call.live_rows};
}

}  // namespace musaic
