#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "weights/weight_source.h"

namespace musaic {

// "blk.3.attn_q.weight" → "model.layers.3.self_attn.q_proj.weight". A name that is not known stays.
std::string hf_weight_name(std::string_view gguf_name);
// The way back.
std::string gguf_weight_name(std::string_view hf_name);

// The file's tensors in place. Shares the file, whose metadata the tokenizer reads later.
std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const GgufFile> gguf);

}  // namespace musaic
