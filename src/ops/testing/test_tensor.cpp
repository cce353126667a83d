#include "ops/testing/test_tensor.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "base/check.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

bool is_integer(DType dtype) {
  return dtype == DType::kI64 || dtype == DType::kI32 || dtype == DType::kI16 || dtype == DType::kI8 ||
         dtype == DType::kU8 || dtype == DType::kBool;
}

DimShape to_dims(const Shape& shape) {
  return {shape.begin(), shape.end()};
}

// The place in storage of the element with row-major number `index`.
int64_t storage_index(const Shape& shape, const Shape& strides, int64_t index) {
  int64_t place = 0;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    place += index % shape[axis] * strides[axis];
    index /= shape[axis];
  }
  return place;
}

}  // namespace

TestTensor::TestTensor(DType dtype, const Shape& shape, int64_t row_stride)
    : dtype_(dtype), shape_(shape), strides_(shape.contiguous_strides()) {
  if (row_stride > 0) strides_[0] = row_stride;
  const int64_t stored = row_stride > 0 ? shape[0] * row_stride : shape.elements();
  bytes_ = byte_size(dtype, stored);
  memory_.resize(bytes_ / sizeof(Line) + 1);
  poison();
}

TestTensor TestTensor::random(DType dtype, const Shape& shape, uint32_t seed, float scale,
                              int64_t row_stride) {
  TestTensor out(dtype, shape, row_stride);
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> values(-scale, scale);
  for (int64_t i = 0; i < shape.elements(); ++i)
    out.set(storage_index(shape, out.strides_, i), values(generator));
  return out;
}

TestTensor TestTensor::floats(std::span<const float> values, const Shape& shape, DType dtype) {
  TestTensor out(dtype, shape);
  CHECK(static_cast<int64_t>(values.size()) == shape.elements());
  for (size_t i = 0; i < values.size(); ++i) out.set(static_cast<int64_t>(i), values[i]);
  return out;
}

TestTensor TestTensor::ints(std::vector<int32_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return ints(std::move(values), shape);
}

TestTensor TestTensor::ints(std::vector<int32_t> values, const Shape& shape) {
  TestTensor out(DType::kI32, shape);
  CHECK(static_cast<int64_t>(values.size()) == shape.elements());
  std::memcpy(out.data(), values.data(), out.bytes());
  return out;
}

TestTensor TestTensor::raw(DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  TestTensor out(dtype, shape);
  CHECK(bytes.size() == out.bytes());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::byte* TestTensor::data() const {
  return const_cast<std::byte*>(memory_.data()->bytes);
}

Tensor TestTensor::tensor() const {
  return defined() ? Tensor{data(), dtype_, shape_, strides_} : Tensor{};
}

Meta TestTensor::meta() const {
  return {dtype_, to_dims(shape_), to_dims(strides_), Device{}};
}

void TestTensor::set(int64_t element, float value) {
  if (dtype_ == DType::kF32) {
    tensor().as<float>()[element] = value;
  } else {
    CHECK(dtype_ == DType::kF16 || dtype_ == DType::kBF16);
    tensor().as<uint16_t>()[element] = dtype_ == DType::kF16 ? float_to_f16(value) : float_to_bf16(value);
  }
}

float TestTensor::get(int64_t element) const {
  switch (dtype_) {
    case DType::kF32:
      return tensor().as<float>()[element];
    case DType::kF16:
      return f16_to_float(tensor().as<uint16_t>()[element]);
    case DType::kBF16:
      return bf16_to_float(tensor().as<uint16_t>()[element]);
    case DType::kI32:
      return static_cast<float>(tensor().as<int32_t>()[element]);
    case DType::kI8:
      return static_cast<float>(tensor().as<int8_t>()[element]);
    default:
      CHECK(false, "no conversion from {}", name(dtype_));
  }
  return 0;
}

std::vector<float> TestTensor::to_floats() const {
  std::vector<float> out(static_cast<size_t>(shape_.elements()));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = get(storage_index(shape_, strides_, static_cast<int64_t>(i)));
  return out;
}

std::vector<float> TestTensor::row(int64_t i) const {
  const int64_t width = shape_.elements() / shape_[0];
  std::vector<float> out(static_cast<size_t>(width));
  for (int64_t k = 0; k < width; ++k)
    out[static_cast<size_t>(k)] = get(storage_index(shape_, strides_, i * width + k));
  return out;
}

std::span<std::byte> TestTensor::row_bytes(int64_t i) const {
  const size_t row = byte_size(dtype_, shape_.elements() / shape_[0]);
  return {data() + static_cast<size_t>(i) * byte_size(dtype_, strides_[0]), row};
}

std::byte TestTensor::poison_byte() const {
  return is_integer(dtype_) ? std::byte{0x7F} : std::byte{0xFF};
}

void TestTensor::poison_rows(int64_t begin) {
  for (int64_t i = begin; i < shape_[0]; ++i) std::ranges::fill(row_bytes(i), poison_byte());
}

void TestTensor::poison() {
  if (defined()) std::memset(data(), std::to_integer<int>(poison_byte()), bytes_);
}

bool TestTensor::row_is_poisoned(int64_t i) const {
  return std::ranges::all_of(row_bytes(i), [this](std::byte byte) { return byte == poison_byte(); });
}

bool TestTensor::same_bits(const TestTensor& other) const {
  return dtype_ == other.dtype_ && shape_ == other.shape_ && strides_ == other.strides_ &&
         (bytes_ == 0 || std::memcmp(data(), other.data(), bytes_) == 0);
}

}  // namespace musaic::testing
