#include <fmt/format.h>

#include "server/openai_common.h"
#include "server/openai_request.h"

namespace musaic {
namespace {

constexpr int kDefaultMaxTokens = 16;

void add_prompt(Fields& fields, const Json& value, std::vector<PromptSpec>& prompts) {
  if (value.is_string()) {
    prompts.push_back({.text = value.get<std::string>(), .is_text = true});
  } else if (auto ids = to_token_ids(value)) {
    prompts.push_back({.ids = std::move(*ids)});
  } else {
    fields.fail(
        "prompt",
        fmt::format(
            "expected a string, a list of strings, a list of token ids or a list of such lists, got {}",
            describe(value)));
  }
}

void read_prompts(Fields& fields, std::vector<PromptSpec>& prompts) {
  const Json* value = fields.find("prompt");
  if (!value || (value->is_array() && value->empty())) return fields.fail("prompt", "is required");
  const bool is_batch = value->is_array() && (value->front().is_string() || value->front().is_array());
  if (!is_batch) return add_prompt(fields, *value, prompts);
  for (const Json& one : *value) {
    add_prompt(fields, one, prompts);
    if (!fields.ok()) return;
  }
}

void read_logprobs(Fields& fields, CompletionRequest& request) {
  const auto top_n = fields.integer("logprobs", 0, kMaxOpenAiTopLogprobs);
  if (!top_n) return;
  request.logprobs = true;
  for (PromptSpec& prompt : request.generation.prompts) {
    prompt.logprobs = {
        .enabled = true, .start = request.echo ? 0 : -1, .top_n = static_cast<int>(*top_n), .probes = {}};
  }
}

void reject_unsupported_completion(Fields& fields, const CompletionRequest& request) {
  fields.reject("suffix", "is not supported by this server");
  const auto best_of = fields.integer("best_of", 1, kMaxAnswers);
  if (!request.generation.prompts.empty() && best_of && *best_of != request.generation.prompts[0].n) {
    fields.fail("best_of", fmt::format("is {}; only the value of n, {}, is supported by this server",
                                       *best_of, request.generation.prompts[0].n));
  }
}

}  // namespace

std::variant<CompletionRequest, ApiError> parse_completion_request(const Json& body,
                                                                   const SamplingParams& defaults) {
  CompletionRequest request;
  Fields fields(body);
  read_prompts(fields, request.generation.prompts);
  for (PromptSpec& prompt : request.generation.prompts) {
    prompt.sampling = defaults;
    prompt.sampling.max_new_tokens = kDefaultMaxTokens;
  }
  request.generation.max_tokens_name = "max_tokens";
  read_max_tokens(fields, "max_tokens", request.generation);
  read_openai_common(fields, request.generation, request.options);
  if (auto x = fields.boolean("echo")) request.echo = *x;
  read_logprobs(fields, request);
  reject_unsupported_completion(fields, request);
  if (fields.error()) return *fields.error();
  return request;
}

}  // namespace musaic
