#pragma once

#include "server/openai_request.h"
#include "server/sampling_fields.h"

namespace musaic {

// The parameters that completions and chat completions share.
void read_openai_common(Fields& fields, GenerationSpec& generation, OpenAiOptions& options);
void read_max_tokens(Fields& fields, std::string_view name, GenerationSpec& generation);

}  // namespace musaic
