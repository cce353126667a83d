#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> embedding_samples() {
  constexpr int64_t kVocab = 11;
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                      DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const int64_t width = is_block_quantized(dtype) ? 2 * dtype_info(dtype).block_elements : 33;
    const SampleInput weight = sample_fixed(HostTensor::random(dtype, {kVocab, width}, 1));
    for (int64_t tokens : kSampleRows) {
      const auto indices = HostTensor::random_ints(DType::kI32, {tokens}, 2, 0, kVocab - 1);
      samples.push_back({.name = fmt::format("{} tokens, weight {}", tokens, name(dtype)),
                         .inputs = {weight, sample_rows_of(indices)},
                         .outputs = {{DType::kF32, {tokens, width}}}});
    }
  }
  return samples;
}

}  // namespace musaic
