#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

OpSample grouped_rows(int64_t rows, int64_t width) {
  const auto first = static_cast<int32_t>(rows / 2);
  const int32_t last = rows > first ? 1 : 0;  // what is behind belongs to nobody
  return {.name = fmt::format("{} rows of {}", rows, width),
          .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {rows, 2 * width}, 1, 4)),
                     sample_fixed(HostTensor::ints({0, 0, first})),
                     sample_fixed(HostTensor::ints({first, 0, last}))},
          .outputs = {},
          .live_rows = static_cast<int32_t>(rows),
          .partial = true};
}

}  // namespace

std::vector<OpSample> grouped_swiglu_samples() {
  std::vector<OpSample> samples;
  for (int64_t width : {32, 37}) {
    for (int64_t rows : kSampleRows) {
      samples.push_back(grouped_rows(rows, width));
      samples.back().outputs = {{DType::kF32, {rows, width}}};
    }
  }
  return samples;
}

std::vector<OpSample> grouped_swiglu_quant_fp8_samples() {
  std::vector<OpSample> samples;
  for (int64_t width : {128, 150}) {
    for (int64_t rows : kSampleRows) {
      samples.push_back(grouped_rows(rows, width));
      samples.back().outputs = {{DType::kF8E4M3, {rows, width}}, {DType::kF32, {rows, (width + 127) / 128}}};
    }
  }
  return samples;
}

}  // namespace musaic
