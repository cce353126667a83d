#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> moe_route_samples() {
  constexpr int64_t kExperts = 6, kTopK = 2, kAlignment = 4;
  std::vector<OpSample> samples;
  for (const char* layout : {"compact", "contiguous", "masked"}) {
    for (int64_t tokens : kSampleRows) {
      std::vector<int32_t> choices;
      for (int64_t t = 0; t < tokens; ++t) {
        choices.push_back(static_cast<int32_t>(t * t % kExperts));
        choices.push_back(static_cast<int32_t>((t * t + 1 + t % 3) % kExperts));
      }
      const std::string name = layout;
      int64_t rows = tokens * kTopK;
      if (name == "contiguous") rows += std::min(rows, kExperts) * (kAlignment - 1);
      if (name == "masked") rows = tokens * kExperts;
      samples.push_back(
          {.name = fmt::format("{} tokens, {}", tokens, layout),
           .inputs = {sample_rows_of(HostTensor::ints(choices, {tokens, kTopK}))},
           .attributes = {{"num_experts", kExperts}, {"layout", name}, {"alignment", kAlignment}},
           .outputs = {{DType::kI32, {rows}},
                       {DType::kI32, {tokens, kTopK}},
                       {DType::kI32, {kExperts}},
                       {DType::kI32, {kExperts}}},
           .partial = true});
    }
  }
  return samples;
}

}  // namespace musaic
