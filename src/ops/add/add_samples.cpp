#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> add_samples() {
  std::vector<OpSample> samples;
  for (const RowLayout& layout : row_layouts({1, 33, 64})) {
    samples.push_back({.name = layout.name,
                       .inputs = {sample_rows_of(layout, 1), sample_rows_of(layout, 2)},
                       .outputs = {{DType::kF32, layout.shape}}});
  }
  return samples;
}

}  // namespace musaic
