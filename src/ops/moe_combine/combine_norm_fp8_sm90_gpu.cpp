#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/moe_combine/combine_norm_fp8_call_gpu.h"
#include "ops/moe_combine/combine_norm_fp8_sm90.h"

namespace musaic {
namespace {

void run_combine_norm(const KernelCall& call) {
  const MoeCombineCall combine = combined_rows(call);
  const RmsNormCall norm = norm_of_combined(call);
  const Fp8RowsOut out = fp8_rows_out(call);
  GpuStream& stream = gpu_stream(call.stream);
  if (!launch_combine_norm_fp8_sm90(combine, norm, out, stream.handle()))
    launch_combine_norm_fp8(combine, norm, out, stream.handle());
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
