#include "runner/compare_regions.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "tensor/half.h"

namespace musaic {
namespace {

template <class T>
T load(const std::byte* data, size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF8E4M3;
}

double element(DType dtype, const std::byte* data, size_t index) {
  switch (dtype) {
    case DType::kF32:
      return load<float>(data, index);
    case DType::kF16:
      return f16_to_float(load<uint16_t>(data, index));
    case DType::kBF16:
      return bf16_to_float(load<uint16_t>(data, index));
    case DType::kF8E4M3:
      return f8e4m3_to_float(load<uint8_t>(data, index));
    case DType::kI64:
      return static_cast<double>(load<int64_t>(data, index));
    case DType::kI32:
      return load<int32_t>(data, index);
    case DType::kI16:
      return load<int16_t>(data, index);
    case DType::kI8:
      return load<int8_t>(data, index);
    default:
      return load<uint8_t>(data, index);
  }
}

double distance(double a, double b) {
  const double difference = std::abs(a - b);
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
}

double largest_magnitude(DType dtype, const std::byte* data, size_t count) {
  double largest = 0.0;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(element(dtype, data, i)));
  return largest;
}

}  // namespace

std::optional<Difference> compare(const RegionCopy& got, const RegionCopy& expected, double tolerance) {
  CHECK(got.regions().size() == expected.regions().size());
  std::optional<Difference> worst;
  for (size_t r = 0; r < got.regions().size(); ++r) {
    const Region& region = got.regions()[r];
    const std::byte* a = got.data(r);
    const std::byte* b = expected.data(r);
    if (std::memcmp(a, b, region.bytes) == 0) continue;
    if (tolerance > 0.0 && !is_float(region.dtype)) continue;
    const size_t width = is_block_quantized(region.dtype) ? 1 : byte_size(region.dtype, 1);
    const size_t count = region.bytes / width;
    const double allowed = tolerance > 0.0 ? tolerance * largest_magnitude(region.dtype, b, count) : 0.0;
    for (size_t i = 0; i < count; ++i) {
      if (std::memcmp(a + i * width, b + i * width, width) == 0) continue;
      const double apart = distance(element(region.dtype, a, i), element(region.dtype, b, i));
      if (tolerance > 0.0 && apart <= allowed) continue;
      if (!worst) worst = Difference{.value = region.value};
      ++worst->num_elements;
      if (apart > worst->largest) {
        worst->largest = apart;
        worst->value = region.value;
      }
    }
  }
  return worst;
}

}  // namespace musaic
