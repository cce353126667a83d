#include "tensor/host_tensor.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "base/check.h"
#include "tensor/dequantize.h"
#include "tensor/half.h"

namespace musaic {
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

HostTensor::HostTensor(DType dtype, const Shape& shape, int64_t row_stride)
    : dtype_(dtype), shape_(shape), strides_(shape.contiguous_strides()) {
  if (row_stride > 0) strides_[0] = row_stride;
  const int64_t stored = row_stride > 0 ? shape[0] * row_stride : shape.elements();
  bytes_ = byte_size(dtype, stored);
  memory_.resize(bytes_ / sizeof(Line) + 1);
  poison();
}

HostTensor HostTensor::strided(DType dtype, const Shape& shape, const Shape& strides) {
  CHECK(strides.rank() == shape.rank());
  int64_t last = shape.elements() == 0 ? -1 : 0;
  for (int axis = 0; last >= 0 && axis < shape.rank(); ++axis) last += (shape[axis] - 1) * strides[axis];
  HostTensor out(dtype, {last + 1});
  out.shape_ = shape;
  out.strides_ = strides;
  return out;
}

HostTensor HostTensor::random(DType dtype, const Shape& shape, uint32_t seed, float scale,
                              int64_t row_stride) {
  HostTensor out(dtype, shape, row_stride);
  if (is_block_quantized(dtype)) {
    out.fill_blocks(seed, scale / 50);
    return out;
  }
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> values(-scale, scale);
  for (int64_t i = 0; i < shape.elements(); ++i)
    out.set(storage_index(shape, out.strides_, i), values(generator));
  return out;
}

HostTensor HostTensor::random_ints(DType dtype, const Shape& shape, uint32_t seed, int64_t low, int64_t high,
                                   int64_t row_stride) {
  HostTensor out(dtype, shape, row_stride);
  CHECK(is_integer(dtype) && out.strides_[-1] == 1);
  const size_t width = byte_size(dtype, 1);
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int64_t> values(low, high);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const int64_t value = values(generator);  // little endian: the low bytes come first
    std::memcpy(out.data() + static_cast<size_t>(storage_index(shape, out.strides_, i)) * width, &value,
                width);
  }
  return out;
}

HostTensor HostTensor::floats(std::span<const float> values, const Shape& shape, DType dtype) {
  HostTensor out(dtype, shape);
  CHECK(static_cast<int64_t>(values.size()) == shape.elements());
  for (size_t i = 0; i < values.size(); ++i) out.set(static_cast<int64_t>(i), values[i]);
  return out;
}

HostTensor HostTensor::ints(std::vector<int32_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return ints(std::move(values), shape);
}

HostTensor HostTensor::ints(std::vector<int32_t> values, const Shape& shape) {
  HostTensor out(DType::kI32, shape);
  CHECK(static_cast<int64_t>(values.size()) == shape.elements());
  std::memcpy(out.data(), values.data(), out.bytes());
  return out;
}

HostTensor HostTensor::raw(DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  HostTensor out(dtype, shape);
  CHECK(bytes.size() == out.bytes());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::byte* HostTensor::data() const {
  return const_cast<std::byte*>(memory_.data()->bytes);
}

Tensor HostTensor::tensor() const {
  return defined() ? Tensor{data(), dtype_, shape_, strides_} : Tensor{};
}

Meta HostTensor::meta() const {
  return {dtype_, to_dims(shape_), to_dims(strides_), Device{}};
}

void HostTensor::fill_blocks(uint32_t seed, float scale) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> scales(-scale, scale);
  const std::span<std::byte> stored(data(), bytes_);
  for (std::byte& byte : stored) byte = static_cast<std::byte>(generator());
  const auto put_scale = [&](size_t at) {
    const uint16_t bits = float_to_f16(scales(generator));
    std::memcpy(stored.data() + at, &bits, sizeof(bits));
  };
  for (size_t block = 0; block < bytes_; block += static_cast<size_t>(dtype_info(dtype_).block_bytes)) {
    put_scale(block + scale_offset(dtype_));
    if (has_min(dtype_)) put_scale(block + scale_offset(dtype_) + sizeof(uint16_t));
  }
}

void HostTensor::set(int64_t element, float value) {
  if (dtype_ == DType::kF32) {
    tensor().as<float>()[element] = value;
  } else if (dtype_ == DType::kF8E4M3) {
    tensor().as<uint8_t>()[element] = float_to_f8e4m3(value);
  } else {
    CHECK(dtype_ == DType::kF16 || dtype_ == DType::kBF16);
    tensor().as<uint16_t>()[element] = dtype_ == DType::kF16 ? float_to_f16(value) : float_to_bf16(value);
  }
}

float HostTensor::get(int64_t element) const {
  switch (dtype_) {
    case DType::kF32:
      return tensor().as<float>()[element];
    case DType::kF16:
      return f16_to_float(tensor().as<uint16_t>()[element]);
    case DType::kBF16:
      return bf16_to_float(tensor().as<uint16_t>()[element]);
    case DType::kF8E4M3:
      return f8e4m3_to_float(tensor().as<uint8_t>()[element]);
    case DType::kI32:
      return static_cast<float>(tensor().as<int32_t>()[element]);
    case DType::kI8:
      return static_cast<float>(tensor().as<int8_t>()[element]);
    default:
      CHECK(false, "no conversion from {}", name(dtype_));
  }
  return 0;
}

std::vector<float> HostTensor::to_floats() const {
  std::vector<float> out(static_cast<size_t>(shape_.elements()));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = get(storage_index(shape_, strides_, static_cast<int64_t>(i)));
  return out;
}

std::vector<float> HostTensor::row(int64_t i) const {
  const int64_t width = shape_.elements() / shape_[0];
  std::vector<float> out(static_cast<size_t>(width));
  for (int64_t k = 0; k < width; ++k)
    out[static_cast<size_t>(k)] = get(storage_index(shape_, strides_, i * width + k));
  return out;
}

std::span<std::byte> HostTensor::row_bytes(int64_t i) const {
  const size_t row = byte_size(dtype_, shape_.elements() / shape_[0]);
  return {data() + static_cast<size_t>(i) * byte_size(dtype_, strides_[0]), row};
}

std::byte HostTensor::poison_byte() const {
  return is_integer(dtype_) ? std::byte{0x7F} : std::byte{0xFF};
}

void HostTensor::poison_rows(int64_t begin) {
  for (int64_t i = begin; i < shape_[0]; ++i) std::ranges::fill(row_bytes(i), poison_byte());
}

void HostTensor::poison() {
  if (defined()) std::memset(data(), std::to_integer<int>(poison_byte()), bytes_);
}

bool HostTensor::row_is_poisoned(int64_t i) const {
  return std::ranges::all_of(row_bytes(i), [this](std::byte byte) { return byte == poison_byte(); });
}

bool HostTensor::same_bits(const HostTensor& other) const {
  return dtype_ == other.dtype_ && shape_ == other.shape_ && strides_ == other.strides_ &&
         (bytes_ == 0 || std::memcmp(data(), other.data(), bytes_) == 0);
}

}  // namespace musaic
