#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> moe_combine_samples() {
  constexpr int64_t kTopK = 3, kRows = 30;
  std::vector<OpSample> samples;
  for (int64_t width : {1, 37}) {
    for (int64_t tokens : kSampleRows) {
      const auto token_row = HostTensor::random_ints(DType::kI32, {tokens, kTopK}, 2, 0, kRows - 1);
      samples.push_back({.name = fmt::format("{} tokens of {}", tokens, width),
                         .inputs = {sample_fixed(HostTensor::random(DType::kF32, {kRows, width}, 1)),
                                    sample_rows_of(token_row),
                                    sample_rows_of(HostTensor::random(DType::kF32, {tokens, kTopK}, 3))},
                         .outputs = {{DType::kF32, {tokens, width}}}});
      if (tokens != 2 && tokens != 7) continue;
      samples.push_back(samples.back());
      samples.back().name += ", an addend with gaps";
      samples.back().inputs.push_back(
          sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, 4, 1, width + 3)));
    }
  }
  return samples;
}

}  // namespace musaic
