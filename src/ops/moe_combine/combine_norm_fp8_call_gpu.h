#pragma once

#include "backends/gpu/kernel_call.h"
#include "ops/moe_combine/moe_combine_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

// What kernels of musaic::moe_combine_norm_quant_fp8, and of ops that end as it does, make of a call.
namespace musaic {

// The arguments' places.
struct CombineNormInputs {
  int token_row;
  int weights;
  int residual;
  int norm_weight;
};

inline MoeCombineCall combine_call(const KernelCall& call, const CombineNormInputs& inputs,
                                   const DeviceRows& x, const DeviceRows& addend) {
  const Tensor& token_row = call.inputs[inputs.token_row];
  return {.x = x,
          .addend = addend,
          .y = {},
          .token_row = token_row.as<const int32_t>(),
          .weights = call.inputs[inputs.weights].as<const float>(),
          .top_k = static_cast<int>(token_row.shape[1]),
          .live_rows = call.live_rows};
}

inline RmsNormCall norm_of_combined(const KernelCall& call, const CombineNormInputs& inputs) {
  const Tensor& weight = call.inputs[inputs.norm_weight];
  return {.x = {},
          .residual = device_rows(call.inputs[inputs.residual]),
          .extra = {},
          .y = {},
          .weight = weight.data,
          .weight_dtype = weight.dtype,
          .eps = static_cast<float>(call.attributes.get_float("eps")),
          .live_rows = call.live_rows};
}

// Of musaic::moe_combine_norm_quant_fp8 itself.
inline constexpr CombineNormInputs kCombineNormInputs = {
    .token_row = 1, .weights = 2, .residual = 4, .norm_weight = 5};
inline MoeCombineCall combine_call(const KernelCall& call) {
  return combine_call(call, kCombineNormInputs, device_rows(call.inputs[0]), device_rows(call.inputs[3]));
}

}  // namespace musaic
