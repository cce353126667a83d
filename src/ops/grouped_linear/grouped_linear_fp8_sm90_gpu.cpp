#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/grouped_linear/grouped_linear_fp8_call_gpu.h"
#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"

namespace musaic {
namespace {

void run_grouped_linear_fp8(const KernelCall& call) {
  const GroupedLinearFp8Call linear = grouped_linear_fp8_call(call);
  GpuStream& stream = gpu_stream(call.stream);
  if (!launch_grouped_linear_fp8_sm90(linear, stream.handle()))
    launch_grouped_linear_fp8(linear, stream.handle());
  stream.check_launch();
}

bool supports(const KernelQuery& query) {
  const Meta& weight = *query.inputs[5];
  const Dim &experts = weight.dim(0), &n = weight.dim(1), &k = weight.dim(2);
  return query.capabilities.has("sm_90") && experts.is_constant() && n.is_constant() && k.is_constant() &&
         experts.constant() <= kMaxSm90Experts &&
         n.constant() % (4 * query.attributes.get_int("parts")) == 0 && k.constant() % 128 == 0;
}

}  // namespace

void add_grouped_linear_fp8_sm90(OpRegistry& registry) {
  registry.prefer_kernel("musaic::grouped_linear_fp8", {.name = "grouped_linear_fp8_sm90",
                                                        .device_type = kGpuDeviceType,
                                                        .supports = supports,
                                                        .run = run_grouped_linear_fp8});
}

}  // namespace musaic
