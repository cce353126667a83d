#pragma once

#include <string>

#include "tensor/device.h"
#include "tensor/dim.h"
#include "tensor/dtype.h"

namespace musaic {

// A tensor without data: what fake kernels compute with.
struct Meta {
  DType dtype = DType::kF32;
  DimShape shape;
  DimShape strides;  // in values
  Device device;

  static Meta contiguous(DType dtype, DimShape shape, Device device) {
    Meta meta{dtype, std::move(shape), {}, std::move(device)};
    meta.strides = contiguous_strides(meta.shape);
    return meta;
  }
  int rank() const { return static_cast<int>(shape.size()); }
  const Dim& dim(int axis) const { return shape[axis < 0 ? axis + rank() : axis]; }
  bool is_contiguous() const { return strides == contiguous_strides(shape); }
  // The values are next to each other along the last dimension.
  bool has_dense_rows() const { return shape.empty() || strides.back() == Dim(1); }
  bool operator==(const Meta&) const = default;
};

std::string to_string(const Meta& meta);  // "f32[tokens, 576] cpu"; strides follow when not contiguous

}  // namespace musaic
