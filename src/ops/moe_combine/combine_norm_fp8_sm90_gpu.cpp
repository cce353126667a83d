#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/moe_combine/combine_norm_fp8_call_gpu.h"
#include "ops/moe_combine/combine_norm_fp8_sm90.h"

namespace musaic {
namespace {

void run_combine_norm(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_combine_norm_fp8_sm90(combine_call(call), norm_of_combined(call, kCombineNormInputs),
                               fp8_rows_out(call), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_combine_norm_fp8_sm90(OpRegistry& registry) {
  registry.prefer_kernel(
      "musaic::moe_combine_norm_quant_fp8",
      {.name = "moe_combine_norm_quant_fp8_sm90",
       .device_type = kGpuDeviceType,
       .supports = [](const KernelQuery& query) { return query.capabilities.has("sm_90"); },
       .run = run_combine_norm});
}

}  // namespace musaic
