#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/add/add.h"

namespace musaic {
namespace {

bool supports_add(const KernelQuery& query) {
  const Meta& x = *query.inputs[0];
  return x.dtype == DType::kF32 && query.inputs[1]->dtype == DType::kF32 && (x.rank() == 2 || x.rank() == 3);
}

void run_add(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]);
  const FloatRows y = FloatRows::of(call.inputs[1]);
  const FloatRows sum = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, x.outer) * x.inner);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const float* a = x.row(i);
      const float* b = y.row(i);
      float* out = sum.row(i);
      for (int64_t k = 0; k < x.width; ++k) out[k] = a[k] + b[k];
    }
  });
}

}  // namespace

void add_add_cpu(OpRegistry& registry) {
  registry.add_kernel("aten::add",
                      {.name = "add_cpu", .device_type = "cpu", .supports = supports_add, .run = run_add});
}

}  // namespace musaic
