#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> empty_rows_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF8E4M3}) {
    for (int64_t rows : kSampleRows) {
      samples.push_back({.name = fmt::format("{} rows of {}", rows, name(dtype)),
                         .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {rows, 3}, 1))},
                         .attributes = {{"width", int64_t{5}}, {"dtype", std::string(name(dtype))}},
                         .outputs = {{dtype, {rows, 5}}},
                         .partial = true});
    }
  }
  return samples;
}

}  // namespace musaic
