#include "ops/moe_combine/moe_combine.h"

#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"

namespace musaic {
namespace {

struct MoeCombineWork {
  FloatRows x;
  FloatRows out;
  FloatRows addend;  // data null: absent
  const int32_t* token_row;
  const float* weights;
  int64_t top_k;
  const int32_t* live_rows;
};

void combine(const MoeCombineWork& work, int64_t token) {
  float* out = work.out.row(token);
  std::fill_n(out, work.out.width, 0.0f);
  for (int64_t k = token * work.top_k; k < (token + 1) * work.top_k; ++k) {
    const float* x = work.x.row(work.token_row[k]);
    for (int64_t i = 0; i < work.out.width; ++i) out[i] += work.weights[k] * x[i];
  }
  if (work.addend.data == nullptr) return;
  const float* addend = work.addend.row(token);
  for (int64_t i = 0; i < work.out.width; ++i) out[i] += addend[i];
}

void run_moe_combine(const KernelCall& call) {
  const MoeCombineWork work = {
      .x = FloatRows::of(call.inputs[0]),
      .out = FloatRows::of(call.outputs[0]),
      .addend = call.inputs[3].defined() ? FloatRows::of(call.inputs[3]) : FloatRows{},
      .token_row = call.inputs[1].as<const int32_t>(),
      .weights = call.inputs[2].as<const float>(),
      .top_k = call.inputs[1].shape[1],
      .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(work.live_rows, work.out.outer));
    for (int64_t token = range.begin; token < range.end; ++token) combine(work, token);
  });
}

}  // namespace

void add_moe_combine_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_combine",
                      {.name = "moe_combine_cpu", .device_type = "cpu", .run = run_moe_combine});
}

}  // namespace musaic
