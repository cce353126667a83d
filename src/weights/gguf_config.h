#pragma once

#include "formats/gguf.h"
#include "weights/model_config.h"

namespace musaic {

// The configuration in a GGUF file's metadata and tensors. Throws LoadError with the file and the key or
// tensor that is missing or wrong, or the architecture that is not supported.
ModelConfig read_gguf_config(const GgufFile& gguf);

}  // namespace musaic
