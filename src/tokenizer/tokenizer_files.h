#pragma once

#include <filesystem>

#include "tokenizer/tokenizer.h"

namespace musaic {

class GgufFile;

// From a GGUF's `tokenizer.*` metadata. Throws LoadError for a tokenizer of another kind than byte-level BPE
// and for a pre-tokenizer that is not known.
TokenizerData tokenizer_data_from_gguf(const GgufFile& file);

// From a Hugging Face folder: tokenizer.json, and where present tokenizer_config.json and
// chat_template.jinja. Throws LoadError naming the file and the part that is missing or not understood.
TokenizerData tokenizer_data_from_hf(const std::filesystem::path& folder);

}  // namespace musaic
