#pragma once

#include <filesystem>
#include <memory>

#include "weights/weight_source.h"

namespace musaic {

// The weights of a Hugging Face folder: all shards that model.safetensors.index.json names, or the single
// model.safetensors. nullptr when the folder has neither. Tensors stay in place; only one that its file
// leaves unaligned is copied. Throws LoadError with the file and tensor that is wrong.
std::unique_ptr<WeightSource> open_safetensors_weights(const std::filesystem::path& folder);

}  // namespace musaic
