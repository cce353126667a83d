#include <cstring>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "base/check.h"
#include "ir/registry.h"
#include "ops/index_select/index_select.h"

namespace musaic {
namespace {

bool supports_index_select(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32;
}

void run_index_select(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]);
  const int32_t* rows = call.inputs[1].as<int32_t>();
  const FloatRows out = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, out.outer));
    for (int64_t i = range.begin; i < range.end; ++i) {
      const int64_t row = rows[i];
      CHECK(row >= 0 && row < x.outer, "index_select: row {} of {}", row, x.outer);
      std::memcpy(out.row(i), x.row(row), static_cast<size_t>(out.width) * sizeof(float));
    }
  });
}

}  // namespace

void add_index_select_cpu(OpRegistry& registry) {
  registry.add_kernel("aten::index_select", {.name = "index_select_cpu",
                                             .device_type = "cpu",
                                             .supports = supports_index_select,
                                             .run = run_index_select});
}

}  // namespace musaic
