#pragma once

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace musaic {

// A view of memory that somebody else owns: address, element type, shape and strides (in values).
// A block-quantized tensor is contiguous. `data == nullptr` with rank 0 stands for an absent optional.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;
  Shape strides;

  static Tensor contiguous(void* data, DType dtype, const Shape& shape) {
    return {data, dtype, shape, shape.contiguous_strides()};
  }
  bool defined() const { return data != nullptr; }
  bool is_contiguous() const { return strides == shape.contiguous_strides(); }
  int64_t elements() const { return shape.elements(); }
  size_t bytes() const { return byte_size(dtype, elements()); }

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  // Start of row `i` of the leading dimension. REQUIRES: not block-quantized.
  template <class T>
  T* row(int64_t i) const {
    return static_cast<T*>(data) + i * strides[0];
  }
};

}  // namespace musaic
