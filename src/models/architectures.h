#pragma once

#include <memory>

#include "models/model.h"

namespace musaic {

// One an architecture; model.cpp has the list by model_type.
std::unique_ptr<Model> make_deepseek_v2(const ModelConfig& config, const WeightSource* weights,
                                        const ModelOptions& options);
std::unique_ptr<Model> make_llama(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options);
std::unique_ptr<Model> make_qwen2(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options);
std::unique_ptr<Model> make_qwen3(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options);

}  // namespace musaic
