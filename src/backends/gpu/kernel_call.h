#pragma once

#include "backends/gpu/device_rows.h"
#include "tensor/tensor.h"

namespace musaic {

// REQUIRES: rank 2 or 3, dense last dimension; or an absent tensor.
inline DeviceRows device_rows(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  const bool nested = tensor.shape.rank() == 3;
  return {tensor.data,       tensor.dtype,
          tensor.shape[0],   nested ? tensor.shape[1] : 1,
          tensor.strides[0], nested ? tensor.strides[1] : 0,
          tensor.shape[-1]};
}

}  // namespace musaic
