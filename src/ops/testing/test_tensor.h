#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/meta.h"
#include "tensor/tensor.h"

namespace musaic::testing {

// A tensor with memory of its own; a copy has its own memory too. Rows may be farther apart than they are
// wide: the gaps hold poison (NaN in floats, a huge number in integers).
class TestTensor {
 public:
  TestTensor() = default;  // absent optional
  // Poisoned throughout. `row_stride` in values; 0: contiguous.
  TestTensor(DType dtype, const Shape& shape, int64_t row_stride = 0);

  // Uniform in [-scale, scale], rounded to f32, f16 or bf16.
  static TestTensor random(DType dtype, const Shape& shape, uint32_t seed, float scale = 1,
                           int64_t row_stride = 0);
  // Rounded to f32, f16 or bf16.
  static TestTensor floats(std::span<const float> values, const Shape& shape, DType dtype = DType::kF32);
  static TestTensor ints(std::vector<int32_t> values);
  static TestTensor ints(std::vector<int32_t> values, const Shape& shape);
  // Stored bytes, for block-quantized types.
  static TestTensor raw(DType dtype, const Shape& shape, std::span<const std::byte> bytes);

  bool defined() const { return !memory_.empty(); }
  Tensor tensor() const;
  Meta meta() const;
  size_t bytes() const { return bytes_; }
  std::byte* data() const;

  // Every value in row-major order, gaps left out; integers are converted.
  std::vector<float> to_floats() const;
  // The values of leading row `i`.
  std::vector<float> row(int64_t i) const;
  // Row `i` of the leading dimension, as bytes.
  std::span<std::byte> row_bytes(int64_t i) const;
  // From leading row `begin` on: for the pad rows of an input.
  void poison_rows(int64_t begin);
  // Every byte, gaps included.
  void poison();
  bool row_is_poisoned(int64_t i) const;
  bool same_bits(const TestTensor& other) const;  // gaps included

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  void set(int64_t element, float value);
  float get(int64_t element) const;  // counted in storage
  std::byte poison_byte() const;

  DType dtype_ = DType::kF32;
  Shape shape_;
  Shape strides_;
  size_t bytes_ = 0;
  std::vector<Line> memory_;
};

}  // namespace musaic::testing
