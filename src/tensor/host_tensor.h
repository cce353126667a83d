#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/meta.h"
#include "tensor/tensor.h"

namespace musaic {

// A tensor with memory of its own, for tests and samples of ops; a copy has its own memory too. Rows may be
// farther apart than they are wide: the gaps hold poison (NaN in floats, a huge number in integers).
class HostTensor {
 public:
  HostTensor() = default;  // absent optional
  // Poisoned throughout. `row_stride` in values; 0: contiguous.
  HostTensor(DType dtype, const Shape& shape, int64_t row_stride = 0);
  // Any strides, as of a tensor whose last dimension is not dense. REQUIRES: positive strides.
  static HostTensor strided(DType dtype, const Shape& shape, const Shape& strides);

  // Uniform in [-scale, scale], rounded to the float type. Block-quantized: random quants, scales and mins of
  // either sign of up to scale / 50.
  static HostTensor random(DType dtype, const Shape& shape, uint32_t seed, float scale = 1,
                           int64_t row_stride = 0);
  // Uniform in [low, high], of an integer type.
  static HostTensor random_ints(DType dtype, const Shape& shape, uint32_t seed, int64_t low, int64_t high,
                                int64_t row_stride = 0);
  // Rounded to f32, f16, bf16 or f8.
  static HostTensor floats(std::span<const float> values, const Shape& shape, DType dtype = DType::kF32);
  static HostTensor ints(std::vector<int32_t> values);
  static HostTensor ints(std::vector<int32_t> values, const Shape& shape);
  // Stored bytes, for block-quantized types.
  static HostTensor raw(DType dtype, const Shape& shape, std::span<const std::byte> bytes);

  bool defined() const { return !memory_.empty(); }
  Tensor tensor() const;
  Meta meta() const;
  size_t bytes() const { return bytes_; }
  std::byte* data() const;

  // Every value in row-major order, gaps left out; integers are converted.
  std::vector<float> to_floats() const;
  // The values of leading row `i`.
  std::vector<float> row(int64_t i) const;
  // Row `i` of the leading dimension, as bytes. REQUIRES: it lies densely.
  std::span<std::byte> row_bytes(int64_t i) const;
  // From leading row `begin` on: for the pad rows of an input.
  void poison_rows(int64_t begin);
  // Every byte, gaps included.
  void poison();
  bool row_is_poisoned(int64_t i) const;
  bool same_bits(const HostTensor& other) const;  // gaps included

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  void fill_blocks(uint32_t seed, float scale);
  void set(int64_t element, float value);
  float get(int64_t element) const;  // counted in storage
  std::byte poison_byte() const;

  DType dtype_ = DType::kF32;
  Shape shape_;
  Shape strides_;
  size_t bytes_ = 0;
  std::vector<Line> memory_;
};

}  // namespace musaic
