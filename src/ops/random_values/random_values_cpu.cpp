#include <algorithm>
#include <cstring>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/random_values/random_values.h"
#include "tensor/random_values.h"

namespace musaic {
namespace {

void run_random_values(const KernelCall& call) {
  const Tensor& x = call.inputs[0];
  const int64_t rows = x.shape[0], width = rows == 0 ? 0 : x.shape.elements() / rows;
  const RandomValues values = {.seed = static_cast<uint64_t>(call.attributes.get_int("seed")),
                               .mean = static_cast<float>(call.attributes.get_float("mean")),
                               .deviation = static_cast<float>(call.attributes.get_float("deviation"))};
  const auto work = [values, dtype = x.dtype, out = x.as<std::byte>(), rows, width,
                     live_rows = call.live_rows](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, rows) * width);
    const auto first = static_cast<uint64_t>(range.begin);
    values.fill(dtype, first, range.end - range.begin, out + range.begin * dtype_info(dtype).block_bytes);
  };
  cpu_stream(call.stream).launch(work);
}

}  // namespace

void add_random_values_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::random_values",
                      {.name = "random_values_cpu", .device_type = "cpu", .run = run_random_values});
}

}  // namespace musaic
