#pragma once

#include <variant>

#include "formats/json.h"
#include "server/api_error.h"
#include "server/generation_spec.h"

namespace musaic {

// A body of POST /generate.
struct GenerateRequest {
  GenerationSpec generation;
  bool is_list = false;  // a list answers a list
  bool return_text_in_logprobs = false;
  bool return_step_info = false;
};

std::variant<GenerateRequest, ApiError> parse_generate_request(const Json& body);

}  // namespace musaic
