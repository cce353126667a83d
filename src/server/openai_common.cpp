#include "server/openai_common.h"

#include <fmt/format.h>

namespace musaic {
namespace {

void read_stream_options(Fields& fields, OpenAiOptions& options) {
  const Json* value = fields.object("stream_options");
  if (!value) return;
  Fields own(*value, "stream_options");
  if (auto x = own.boolean("include_usage")) options.include_usage = *x;
  if (auto x = own.boolean("continuous_usage_stats")) options.continuous_usage_stats = *x;
  if (own.error())
    fields.fail(own.error()->param, own.error()->message.substr(own.error()->param.size() + 2));
}

void reject_unsupported_openai(Fields& fields) {
  reject_unsupported_sampling(fields);
  reject_unsupported_request(fields);
  if (const Json* format = fields.object("response_format")) {
    if (*format != Json{{"type", "text"}})
      fields.fail("response_format", "only {\"type\": \"text\"} is supported by this server");
  }
}

}  // namespace

void read_max_tokens(Fields& fields, std::string_view name, GenerationSpec& generation) {
  const auto asked = fields.integer(name, 0, kMaxAskedTokens);
  if (!asked) return;
  for (PromptSpec& prompt : generation.prompts) {
    prompt.sampling.max_new_tokens = static_cast<int>(*asked);
    prompt.max_new_tokens_given = true;
  }
}

void read_openai_common(Fields& fields, GenerationSpec& generation, OpenAiOptions& options) {
  const auto rid = fields.string("rid");
  const auto min_tokens = fields.integer("min_tokens", 0, kMaxAskedTokens);
  for (size_t i = 0; i < generation.prompts.size(); ++i) {
    PromptSpec& prompt = generation.prompts[i];
    read_sampling(fields, prompt);
    if (rid) prompt.rid = generation.prompts.size() == 1 ? *rid : fmt::format("{}_{}", *rid, i);
    if (min_tokens) prompt.sampling.min_new_tokens = static_cast<int>(*min_tokens);
  }
  fields.string("model");
  fields.string("user");
  if (auto x = fields.boolean("stream")) generation.stream = *x;
  read_stream_options(fields, options);
  if (auto x = fields.boolean("return_meta_info")) options.return_meta_info = *x;
  if (auto x = fields.boolean("return_step_info")) options.return_step_info = *x;
  reject_unsupported_openai(fields);
}

}  // namespace musaic
