#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/linear_fp8/linear_fp8_call_gpu.h"
#include "ops/linear_fp8/linear_fp8_sm90.h"

namespace musaic {
namespace {

// Calls of at least so many rows go to Hopper's matrix units.
template <int64_t first_rows>
void run_linear_fp8(const KernelCall& call) {
  const LinearFp8Call linear = linear_fp8_call(call);
  GpuStream& stream = gpu_stream(call.stream);
  if (linear.rows < first_rows || !launch_linear_fp8_sm90(linear, stream.handle()))
    launch_linear_fp8(linear, stream.handle());
  stream.check_launch();
}

bool is_multiple(const Dim& dim, int64_t of) {
  return dim.is_constant() && dim.constant() % of == 0;
}

bool supports(const KernelQuery& query) {
  const Meta& weight = *query.inputs[2];
  return query.capabilities.has("sm_90") && is_multiple(weight.dim(0), 4) && is_multiple(weight.dim(1), 128);
}

bool supports_any_rows(const KernelQuery& query) {
  return query.capabilities.has(kRowInvariant) && supports(query);
}

}  // namespace

void add_linear_fp8_sm90(OpRegistry& registry) {
  registry.prefer_kernel("musaic::linear_fp8", {.name = "linear_fp8_sm90",
                                                .device_type = kGpuDeviceType,
                                                .supports = supports,
                                                .run = run_linear_fp8<kLinearFp8Sm90Rows>});
  registry.prefer_kernel("musaic::linear_fp8", {.name = "linear_fp8_any_rows_sm90",
                                                .device_type = kGpuDeviceType,
                                                .supports = supports_any_rows,
                                                .run = run_linear_fp8<0>});
}

}  // namespace musaic
