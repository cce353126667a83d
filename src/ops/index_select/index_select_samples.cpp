#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> index_select_samples() {
  constexpr int64_t kTokens = 9;
  std::vector<OpSample> samples;
  for (int64_t gap : {0, 5}) {
    for (int64_t width : {1, 33}) {
      const auto x = HostTensor::random(DType::kF32, {kTokens, width}, 1, 1, width + gap);
      for (int64_t rows : kSampleRows) {
        const auto indices = HostTensor::random_ints(DType::kI32, {rows}, 2, 0, kTokens - 1);
        samples.push_back({.name = fmt::format("{} rows of {}, gap {}", rows, width, gap),
                           .inputs = {sample_fixed(x), sample_rows_of(indices)},
                           .outputs = {{DType::kF32, {rows, width}}}});
      }
    }
  }
  return samples;
}

}  // namespace musaic
