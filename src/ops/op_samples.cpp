#include "ops/op_samples.h"

#include <fmt/format.h>

namespace musaic {
namespace {

constexpr int64_t kGap = 5;      // odd, so that rows with gaps begin at any address
constexpr int64_t kVectors = 3;  // of a row of three dimensions

}  // namespace

std::vector<RowLayout> row_layouts(std::initializer_list<int64_t> widths) {
  std::vector<RowLayout> layouts;
  for (int64_t width : widths) {
    for (int64_t rows : kSampleRows)
      layouts.push_back({fmt::format("{} rows of {}", rows, width), {rows, width}, 0});
    layouts.push_back({fmt::format("4 rows of {} with gaps", width), {4, width}, width + kGap});
    layouts.push_back({fmt::format("3 rows of {} x {} with gaps", kVectors, width),
                       {3, kVectors, width},
                       kVectors * width + kGap});
  }
  return layouts;
}

SampleInput sample_rows_of(const RowLayout& layout, uint32_t seed, float scale) {
  return sample_rows_of(HostTensor::random(DType::kF32, layout.shape, seed, scale, layout.stride));
}

SampleInput sample_rows_of(HostTensor tensor) {
  return {.tensor = std::move(tensor), .has_rows = true};
}

SampleInput sample_fixed(HostTensor tensor) {
  return {.tensor = std::move(tensor)};
}

}  // namespace musaic
