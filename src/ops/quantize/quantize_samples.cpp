#include "ops/op_samples.h"
#include "ops/quantize/quantize.h"

namespace musaic {

std::vector<OpSample> quantize_q8_samples() {
  std::vector<OpSample> samples;
  for (const RowLayout& layout : row_layouts({32, 96})) {
    if (layout.shape.rank() != 2) continue;
    const Shape blocks{layout.shape[0], layout.shape[1] / QuantizedRows::kBlock};
    samples.push_back(
        {.name = layout.name,
         .inputs = {sample_rows_of(layout, 1)},
         .outputs = {{DType::kI8, layout.shape}, {DType::kF32, blocks}, {DType::kF32, blocks}}});
  }
  const std::vector<float> zeros(64);
  samples.push_back({.name = "2 rows of zeros",
                     .inputs = {sample_rows_of(HostTensor::floats(zeros, {2, 32}))},
                     .outputs = {{DType::kI8, {2, 32}}, {DType::kF32, {2, 1}}, {DType::kF32, {2, 1}}}});
  return samples;
}

}  // namespace musaic
