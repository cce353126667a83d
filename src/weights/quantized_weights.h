#pragma once

#include <memory>

#include "weights/model_config.h"
#include "weights/weight_source.h"

namespace musaic {

// The weights with the linears that `config.fp8` says in block FP8 and with their `weight_scale_inv`
// (fp8_quantizer.h): their rows lie nowhere, they are made as they are asked for. Throws LoadError naming a
// linear whose type cannot be quantized. REQUIRES: config.fp8.
std::unique_ptr<WeightSource> quantize_weights(std::unique_ptr<WeightSource> source,
                                               const ModelConfig& config);

}  // namespace musaic
