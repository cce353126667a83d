#pragma once

#include <string>
#include <vector>

#include "tensor/shape.h"
#include "weights/model_config.h"

namespace musaic {

// How a tensor is stored: in the model's type, or one of the two halves of a linear in FP8.
enum class WeightStorage { kPlain, kFp8, kFp8Scale };

struct WeightShape {
  std::string name;  // Hugging Face's
  Shape shape;       // row-major: [out, in]
  WeightStorage storage = WeightStorage::kPlain;
};

// [ceil(out / 128), ceil(in / 128)]: a scale a block.
Shape fp8_scale_shape(const Shape& weight);

// Every tensor that a model of this configuration has: embedding, layers in order, norm, and the head unless
// it is tied.
std::vector<WeightShape> list_weight_shapes(const ModelConfig& config);

}  // namespace musaic
