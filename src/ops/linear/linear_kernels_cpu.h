#pragma once

#include <cstdint>
#include <span>

#include "tensor/half.h"
#include "tensor/tensor.h"

namespace musaic {

class OpRegistry;

// A bias of any float type, or none.
struct BiasRow {
  const void* data;
  DType dtype;

  static BiasRow of(std::span<const Tensor> inputs, size_t index) {
    if (index >= inputs.size() || !inputs[index].defined()) return {nullptr, DType::kF32};
    return {inputs[index].data, inputs[index].dtype};
  }

  // Values [first, first + count) in `out`, which it returns; nullptr without a bias.
  const float* load(int64_t first, int count, float* out) const {
    if (data == nullptr) return nullptr;
    for (int i = 0; i < count; ++i) out[i] = value(first + i);
    return out;
  }

 private:
  float value(int64_t i) const {
    if (dtype == DType::kF16) return f16_to_float(static_cast<const uint16_t*>(data)[i]);
    if (dtype == DType::kBF16) return bf16_to_float(static_cast<const uint16_t*>(data)[i]);
    return static_cast<const float*>(data)[i];
  }
};

void add_linear_float_cpu(OpRegistry& registry);
void add_linear_q8_cpu(OpRegistry& registry);

}  // namespace musaic
