#pragma once

#include <filesystem>

#include "weights/model_config.h"

namespace musaic {

// Reads a Hugging Face config.json in either spelling (`rope_scaling` + `rope_theta` + `torch_dtype`, or
// `rope_parameters` + `dtype`), and generation_config.json beside it when it is there. Throws LoadError with
// the file, the key, expected and got; also for what would give wrong answers: sliding windows, other
// activations, other quantizations than FP8 in blocks.
ModelConfig read_hf_config(const std::filesystem::path& config_json);

}  // namespace musaic
