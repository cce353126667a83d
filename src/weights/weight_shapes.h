#pragma once

#include <string>
#include <vector>

#include "tensor/shape.h"
#include "weights/model_config.h"

namespace musaic {

struct WeightShape {
  std::string name;  // Hugging Face's
  Shape shape;       // row-major: [out, in]
};

// Every tensor that a model of this configuration has: embedding, layers in order, norm, and the head unless
// it is tied.
std::vector<WeightShape> list_weight_shapes(const ModelConfig& config);

}  // namespace musaic
