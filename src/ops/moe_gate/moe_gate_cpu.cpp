#include "ops/moe_gate/moe_gate.h"

#include <algorithm>
#include <cmath>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"

namespace musaic {
namespace {

constexpr int64_t kMaxExperts = 1024;

struct MoeGateWork {
  FloatRows logits;
  float* weights;    // [tokens, top_k]
  int32_t* experts;  // [tokens, top_k]
  int64_t top_k;
  int64_t num_groups;
  int64_t top_groups;
  bool renormalize;
  float scale;
  const int32_t* live_rows;
};

float sum_of_exponentials(const float* logits, int64_t count, float largest) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(logits[i] - largest);
  return sum;
}

// Takes the largest of values[0 .. count) that is not taken yet, the first of equals.
int64_t take_largest(const float* values, int64_t count, bool* taken) {
  int64_t best = -1;
  for (int64_t i = 0; i < count; ++i) {
    if (!taken[i] && (best < 0 || values[i] > values[best])) best = i;
  }
  taken[best] = true;
  return best;
}

// Marks the experts outside the best groups.
void exclude_groups(const MoeGateWork& work, const float* logits, bool* excluded) {
  const int64_t size = work.logits.width / work.num_groups;
  float best[kMaxExperts];
  bool chosen[kMaxExperts] = {};
  for (int64_t g = 0; g < work.num_groups; ++g)
    best[g] = *std::max_element(logits + g * size, logits + (g + 1) * size);
  for (int64_t i = 0; i < work.top_groups; ++i) take_largest(best, work.num_groups, chosen);
  for (int64_t g = 0; g < work.num_groups; ++g) std::fill_n(excluded + g * size, size, !chosen[g]);
}

// By the logits, whose order is that of the scores, also where those vanish.
void choose(const MoeGateWork& work, int64_t token) {
  const float* logits = work.logits.row(token);
  const int64_t num_experts = work.logits.width;
  const float largest = *std::max_element(logits, logits + num_experts);
  const float sum = sum_of_exponentials(logits, num_experts, largest);
  bool taken[kMaxExperts] = {};
  if (work.top_groups < work.num_groups) exclude_groups(work, logits, taken);
  float* weights = work.weights + token * work.top_k;
  float chosen = 0;
  for (int64_t k = 0; k < work.top_k; ++k) {
    const int64_t expert = take_largest(logits, num_experts, taken);
    work.experts[token * work.top_k + k] = static_cast<int32_t>(expert);
    weights[k] = std::exp(logits[expert] - largest) / sum;
    chosen += weights[k];
  }
  const float factor = work.renormalize ? work.scale / chosen : work.scale;
  for (int64_t k = 0; k < work.top_k; ++k) weights[k] *= factor;
}

}  // namespace

void run_moe_gate_cpu(const KernelCall& call) {
  const Attributes& attributes = call.attributes;
  const MoeGateWork work = {.logits = FloatRows::of(call.inputs[0]),
                            .weights = call.outputs[0].as<float>(),
                            .experts = call.outputs[1].as<int32_t>(),
                            .top_k = attributes.get_int("top_k"),
                            .num_groups = attributes.get_int("num_groups"),
                            .top_groups = attributes.get_int("top_groups"),
                            .renormalize = attributes.get_bool("renormalize"),
                            .scale = static_cast<float>(attributes.get_float("scale")),
                            .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(work.live_rows, work.logits.outer));
    for (int64_t token = range.begin; token < range.end; ++token) choose(work, token);
  });
}

void add_moe_gate_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_gate",
                      {.name = "moe_gate_cpu", .device_type = "cpu", .run = run_moe_gate_cpu});
}

}  // namespace musaic
