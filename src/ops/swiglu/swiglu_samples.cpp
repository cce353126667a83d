#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> silu_samples() {
  std::vector<OpSample> samples;
  for (const RowLayout& layout : row_layouts({1, 33, 64})) {
    samples.push_back({.name = layout.name,
                       .inputs = {sample_rows_of(layout, 1, 20)},
                       .outputs = {{DType::kF32, layout.shape}}});
  }
  return samples;
}

std::vector<OpSample> mul_samples() {
  return add_samples();
}

std::vector<OpSample> fused_swiglu_samples() {
  std::vector<OpSample> samples;
  for (const RowLayout& layout : row_layouts({2, 66, 128})) {
    Shape halved = layout.shape;
    halved[-1] /= 2;
    samples.push_back(
        {.name = layout.name, .inputs = {sample_rows_of(layout, 1, 20)}, .outputs = {{DType::kF32, halved}}});
    for (DType dtype : {DType::kF16, DType::kBF16}) {
      const HostTensor x = HostTensor::random(dtype, layout.shape, 1, 8, layout.stride);
      samples.push_back({.name = fmt::format("{} of {}", layout.name, name(dtype)),
                         .inputs = {sample_rows_of(x)},
                         .outputs = {{dtype, halved}}});
    }
  }
  return samples;
}

}  // namespace musaic
