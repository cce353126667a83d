#include "ops/moe_combine/combine_norm_fp8_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/moe_combine/combine_norm_fp8.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

void run_combine_norm(const KernelCall& call) {
  const auto in = call.inputs;
  GpuStream& stream = gpu_stream(call.stream);
  launch_combine_norm_fp8({.x = device_rows(in[0]),
                           .addend = device_rows(in[3]),
                           .y = {},
                           .token_row = in[1].as<const int32_t>(),
                           .weights = in[2].as<const float>(),
                           .top_k = static_cast<int>(in[1].shape[1]),
                           .live_rows = call.live_rows},
                          {.x = {},
                           .residual = device_rows(in[4]),
                           .extra = {},
                           .y = {},
                           .weight = in[5].data,
                           .weight_dtype = in[5].dtype,
                           .eps = static_cast<float>(call.attributes.get_float("eps")),
                           .live_rows = call.live_rows},
                          fp8_rows_out(call), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_combine_norm_fp8_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::moe_combine_norm_quant_fp8",
      {.name = "moe_combine_norm_quant_fp8_gpu", .device_type = kGpuDeviceType, .run = run_combine_norm});
}

}  // namespace musaic
