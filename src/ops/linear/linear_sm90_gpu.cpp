#include "backends/gpu/gpu_stream.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/linear/linear_call_gpu.h"
#include "ops/linear/linear_sm90.h"
#include "ops/linear/linear_tile_gpu.h"

namespace musaic {
namespace {

void run_linear(const KernelCall& call) {
  const LinearCall linear = linear_call(call);
  GpuStream& stream = gpu_stream(call.stream);
  LinearTileCall few_rows;
  few_rows.linear = linear;
  if (!launch_linear_sm90(linear, stream.handle())) launch_linear_tile(few_rows, stream.handle());
  stream.check_launch();
}

bool is_multiple(const Dim& dim, int64_t of) {
  return dim.is_constant() && dim.constant() % of == 0;
}

// Few rows have other bits.
bool supports(const KernelQuery& query) {
  const Meta& weight = *query.inputs[1];
  return query.capabilities.has("sm_90") && !query.capabilities.has(kRowInvariant) &&
         weight.dtype == DType::kBF16 && is_multiple(weight.dim(0), 16) && is_multiple(weight.dim(1), 32);
}

}  // namespace

void add_linear_sm90(OpRegistry& registry) {
  registry.prefer_kernel(
      "aten::linear",
      {.name = "linear_sm90", .device_type = kGpuDeviceType, .supports = supports, .run = run_linear});
}

}  // namespace musaic
