#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr DType kWeightTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

SampleInput norm_weight(const RowLayout& layout, DType dtype) {
  return sample_fixed(HostTensor::random(dtype, {layout.shape[-1]}, 9));
}

std::string with_weight(const RowLayout& layout, DType dtype) {
  return fmt::format("{}, weight {}", layout.name, name(dtype));
}

SampleInput rows_of_type(DType dtype, const RowLayout& layout, uint32_t seed) {
  return sample_rows_of(HostTensor::random(dtype, layout.shape, seed, 2, layout.stride));
}

}  // namespace

std::vector<OpSample> rms_norm_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : kWeightTypes) {
    for (const RowLayout& layout : row_layouts({1, 33, 64})) {
      samples.push_back({.name = with_weight(layout, dtype),
                         .inputs = {sample_rows_of(layout, 1), norm_weight(layout, dtype)},
                         .attributes = {{"eps", 1e-5}},
                         .outputs = {{DType::kF32, layout.shape}}});
    }
  }
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    for (const RowLayout& layout : row_layouts({33})) {
      samples.push_back({.name = fmt::format("{} of {}", layout.name, name(dtype)),
                         .inputs = {rows_of_type(dtype, layout, 1), norm_weight(layout, dtype)},
                         .attributes = {{"eps", 1e-5}},
                         .outputs = {{dtype, layout.shape}}});
    }
  }
  return samples;
}

std::vector<OpSample> fused_add_rms_norm_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : kWeightTypes) {
    for (const RowLayout& layout : row_layouts({1, 33, 64})) {
      samples.push_back(
          {.name = with_weight(layout, dtype),
           .inputs = {sample_rows_of(layout, 1), sample_rows_of(layout, 2), norm_weight(layout, dtype)},
           .attributes = {{"eps", 1e-6}},
           .outputs = {}});
    }
  }
  for (DType dtype : kWeightTypes) {
    for (const RowLayout& layout : row_layouts({33})) {
      samples.push_back({.name = fmt::format("{} of {}, another addend", layout.name, name(dtype)),
                         .inputs = {rows_of_type(dtype, layout, 1), rows_of_type(dtype, layout, 2),
                                    norm_weight(layout, dtype), rows_of_type(dtype, layout, 3)},
                         .attributes = {{"eps", 1e-6}},
                         .outputs = {}});
    }
  }
  return samples;
}

}  // namespace musaic
