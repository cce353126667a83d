#pragma once

#include <string>
#include <variant>

#include "formats/json.h"
#include "server/api_error.h"
#include "server/generation_spec.h"

namespace musaic {

// What the two OpenAI routes have in common.
struct OpenAiOptions {
  bool include_usage = false;           // stream_options
  bool continuous_usage_stats = false;  // a usage in every chunk
  bool return_meta_info = false;
  bool return_step_info = false;
};

// A body of POST /v1/completions.
struct CompletionRequest {
  GenerationSpec generation;
  OpenAiOptions options;
  bool echo = false;
  bool logprobs = false;
};

// A body of POST /v1/chat/completions; the prompt's text comes from the chat template.
struct ChatRequest {
  GenerationSpec generation;  // one prompt, without text
  OpenAiOptions options;
  Json messages;  // checked: objects with a role, contents are texts
  Json template_arguments = Json::object();
  bool add_generation_prompt = true;
};

// `defaults` are the model's own sampling parameters.
std::variant<CompletionRequest, ApiError> parse_completion_request(const Json& body,
                                                                   const SamplingParams& defaults);
std::variant<ChatRequest, ApiError> parse_chat_request(const Json& body, const SamplingParams& defaults);

// Reads `messages`: each an object with a role and a text, parts of texts joined. Nothing when `error` is
// set.
class Fields;
Json read_messages(Fields& fields);

}  // namespace musaic
