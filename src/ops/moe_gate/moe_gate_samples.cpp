#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> moe_gate_samples() {
  struct Choice {
    int64_t experts, top_k, groups, top_groups;
    bool renormalize;
  };
  std::vector<OpSample> samples;
  for (const Choice& choice : {Choice{8, 2, 1, 1, false}, Choice{64, 6, 1, 1, true},
                               Choice{30, 4, 5, 2, false}, Choice{3, 3, 1, 1, true}}) {
    for (int64_t tokens : kSampleRows) {
      const int64_t gap = tokens == 7 ? 3 : 0;
      const auto logits =
          HostTensor::random(DType::kF32, {tokens, choice.experts}, 1, 4, choice.experts + gap);
      const Shape out = {tokens, choice.top_k};
      samples.push_back({.name = fmt::format("{} tokens, {} of {} experts in {} groups, gap {}", tokens,
                                             choice.top_k, choice.experts, choice.groups, gap),
                         .inputs = {sample_rows_of(logits)},
                         .attributes = {{"top_k", choice.top_k},
                                        {"num_groups", choice.groups},
                                        {"top_groups", choice.top_groups},
                                        {"renormalize", choice.renormalize},
                                        {"scale", 2.5}},
                         .outputs = {{DType::kF32, out}, {DType::kI32, out}}});
    }
  }
  return samples;
}

}  // namespace musaic
