#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/linear/linear_call_gpu.h"
#include "ops/linear/linear_sm90.h"

namespace musaic {
namespace {

void run_linear(const KernelCall& call) {
  const LinearCall linear = linear_call(call);
  GpuStream& stream = gpu_stream(call.stream);
  if (!launch_linear_sm90(linear, stream.handle())) launch_linear_mma(linear, stream.handle());
  stream.check_launch();
}

bool is_multiple_of_16(const Dim& dim) {
  return dim.is_constant() && dim.constant() % 16 == 0;
}

bool supports(const KernelQuery& query) {
  const Meta& weight = *query.inputs[1];
  return query.capabilities.has("sm_90") && weight.dtype == DType::kBF16 &&
         is_multiple_of_16(weight.dim(0)) && is_multiple_of_16(weight.dim(1));
}

}  // namespace

void add_linear_sm90(OpRegistry& registry) {
  registry.prefer_kernel(
      "aten::linear",
      {.name = "linear_sm90", .device_type = kGpuDeviceType, .supports = supports, .run = run_linear});
}

}  // namespace musaic
