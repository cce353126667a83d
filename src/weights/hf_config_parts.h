#pragma once

#include <optional>

#include "weights/json_fields.h"
#include "weights/model_config.h"

namespace musaic {

// Parts of config.json that only some models have. Each throws LoadError as read_hf_config does.

// DeepSeek-V2's latent attention and experts, and the head_dim and order of rotation that follow from them.
void read_deepseek_v2(const JsonFields& fields, ModelConfig& config);

// `quantization_config`: FP8 in blocks, or nullopt when there is none.
std::optional<BlockFp8> read_quantization(const JsonFields& fields);

}  // namespace musaic
