#include "ops/moe_route/moe_route.h"

#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "base/check.h"
#include "ir/registry.h"

namespace musaic {
namespace {

constexpr int64_t kMaxExperts = 1024;

struct MoeRouteWork {
  const int32_t* experts;  // [tokens, top_k]
  int64_t tokens;
  int64_t top_k;
  int64_t num_experts;
  int64_t alignment;  // of a start; 0: expert e's rows begin at e · tokens
  int32_t* row_token;
  int32_t* token_row;
  int32_t* start;
  int32_t* count;
  const int32_t* live_rows;
};

void place_experts(const MoeRouteWork& work) {
  int64_t next = 0;
  for (int64_t e = 0; e < work.num_experts; ++e) {
    work.start[e] = static_cast<int32_t>(work.alignment == 0 ? e * work.tokens : next);
    if (work.alignment > 0) next += (work.count[e] + work.alignment - 1) / work.alignment * work.alignment;
  }
}

// A counting sort, which keeps the order of tokens.
void route(const MoeRouteWork& work) {
  const int64_t num_choices = live_count(work.live_rows, work.tokens) * work.top_k;
  std::fill_n(work.count, work.num_experts, 0);
  for (int64_t i = 0; i < num_choices; ++i) {
    CHECK(work.experts[i] >= 0 && work.experts[i] < work.num_experts, "moe_route: expert {} of {}",
          work.experts[i], work.num_experts);
    ++work.count[work.experts[i]];
  }
  place_experts(work);
  int32_t next[kMaxExperts];
  std::copy_n(work.start, work.num_experts, next);
  for (int64_t i = 0; i < num_choices; ++i) {
    const int32_t row = next[work.experts[i]]++;
    work.row_token[row] = static_cast<int32_t>(i / work.top_k);
    work.token_row[i] = row;
  }
}

}  // namespace

void run_moe_route_cpu(const KernelCall& call) {
  const Tensor& experts = call.inputs[0];
  const MoeRouteWork work = {.experts = experts.as<const int32_t>(),
                             .tokens = experts.shape[0],
                             .top_k = experts.shape[1],
                             .num_experts = call.outputs[2].shape[0],
                             .alignment = start_alignment(call.attributes),
                             .row_token = call.outputs[0].as<int32_t>(),
                             .token_row = call.outputs[1].as<int32_t>(),
                             .start = call.outputs[2].as<int32_t>(),
                             .count = call.outputs[3].as<int32_t>(),
                             .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    if (worker.next_chunk() == 0) route(work);
  });
}

void add_moe_route_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_route",
                      {.name = "moe_route_cpu", .device_type = "cpu", .run = run_moe_route_cpu});
}

}  // namespace musaic
