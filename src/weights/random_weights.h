#pragma once

#include <cstdint>
#include <memory>

#include "tensor/dtype.h"
#include "weights/model_config.h"
#include "weights/weight_source.h"

namespace musaic {

// Weights for runs without a checkpoint (`--load-format dummy`), made by a device or, with make_values, in
// memory: matrices near normal with
// standard deviation 1/sqrt(inputs), norms near 1, biases near 0, so that activations stay finite and varied
// and routers spread; linears that the configuration says are in FP8 with their scales. The same seed gives
// the same bytes on every machine, tensor by tensor. REQUIRES: dtype is f32 or bf16.
std::unique_ptr<WeightSource> make_random_weights(const ModelConfig& config, DType dtype, uint64_t seed);

}  // namespace musaic
