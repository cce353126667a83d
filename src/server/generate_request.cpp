#include "server/generate_request.h"

#include <fmt/format.h>

#include "server/sampling_fields.h"

namespace musaic {
namespace {

bool is_list_of(const Json& value, bool (Json::*is_kind)() const noexcept) {
  return value.is_array() && !value.empty() && (value.front().*is_kind)();
}

void add_texts(Fields& fields, const Json& text, GenerateRequest& request) {
  request.is_list = text.is_array();
  for (std::string& one : fields.strings("text")) {
    request.generation.prompts.push_back({.text = std::move(one), .is_text = true});
  }
}

void add_ids(Fields& fields, const Json& ids, GenerateRequest& request) {
  request.is_list = is_list_of(ids, &Json::is_array);
  if (!request.is_list) {
    request.generation.prompts.push_back({.ids = fields.token_ids("input_ids")});
    return;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    auto one = to_token_ids(ids[i]);
    if (!one) return fields.fail("input_ids", fmt::format("item {} is not a list of token ids", i));
    request.generation.prompts.push_back({.ids = std::move(*one)});
  }
}

void read_prompts(Fields& fields, GenerateRequest& request) {
  const Json* text = fields.find("text");
  const Json* ids = fields.find("input_ids");
  if (text && text->is_array() && text->empty()) text = nullptr;
  if (ids && ids->is_array() && ids->empty()) ids = nullptr;
  if (text && ids) return fields.fail("input_ids", "only one of text and input_ids may be given");
  if (text) return add_texts(fields, *text, request);
  if (ids) return add_ids(fields, *ids, request);
  fields.fail("text", "text or input_ids is required");
}

void read_sampling_params(const Json& params, const std::string& path, Fields& outer, PromptSpec& prompt) {
  Fields fields(params, path);
  read_sampling(fields, prompt);
  reject_unsupported_sampling(fields);
  SamplingParams& sampling = prompt.sampling;
  if (auto x = fields.integer("max_new_tokens", 0, kMaxAskedTokens))
    sampling.max_new_tokens = static_cast<int>(*x);
  if (auto x = fields.integer("min_new_tokens", 0, kMaxAskedTokens))
    sampling.min_new_tokens = static_cast<int>(*x);
  if (sampling.min_new_tokens > sampling.max_new_tokens) {
    fields.fail("min_new_tokens", fmt::format("is {}, more than max_new_tokens {}", sampling.min_new_tokens,
                                              sampling.max_new_tokens));
  }
  if (fields.error())
    outer.fail(fields.error()->param, fields.error()->message.substr(fields.error()->param.size() + 2));
}

void read_all_sampling(Fields& fields, GenerateRequest& request) {
  auto& prompts = request.generation.prompts;
  const Json* params = fields.find("sampling_params");
  if (!params || (params->is_array() && params->empty())) return;
  const bool one_each = params->is_array();
  if (!one_each && !params->is_object())
    return fields.fail("sampling_params",
                       fmt::format("expected an object or a list of objects, got {}", describe(*params)));
  if (one_each && params->size() != prompts.size()) {
    return fields.fail("sampling_params",
                       fmt::format("has {} items for {} prompts", params->size(), prompts.size()));
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Json& own = one_each ? (*params)[i] : *params;
    const std::string path = one_each ? fmt::format("sampling_params[{}]", i) : "sampling_params";
    if (!own.is_object())
      return fields.fail("sampling_params",
                         fmt::format("item {} is {}, expected an object", i, describe(own)));
    read_sampling_params(own, path, fields, prompts[i]);
  }
}

// Parameters that may be one value for all prompts or a list with one a prompt: the object that prompt `i`
// has.
Json own_parameters(Fields& fields, const std::vector<std::string>& names, size_t i, size_t num_prompts) {
  Json own = Json::object();
  for (const std::string& name : names) {
    const Json* value = fields.find(name);
    if (!value) continue;
    const bool nested = name != "token_ids_logprob" || is_list_of(*value, &Json::is_array);
    if (!value->is_array() || !nested || value->empty()) {
      own[name] = *value;
    } else if (value->size() != num_prompts) {
      fields.fail(name, fmt::format("has {} items for {} prompts", value->size(), num_prompts));
    } else {
      own[name] = (*value)[i];
    }
  }
  return own;
}

void read_logprobs(Fields& outer, PromptSpec& prompt, size_t i, size_t num_prompts) {
  const Json own =
      own_parameters(outer, {"return_logprob", "logprob_start_len", "top_logprobs_num", "token_ids_logprob"},
                     i, num_prompts);
  Fields fields(own);
  LogprobParams& logprobs = prompt.logprobs;
  if (auto x = fields.boolean("return_logprob")) logprobs.enabled = *x;
  if (auto x = fields.integer("logprob_start_len", -1, kMaxAskedTokens))
    logprobs.start = static_cast<int>(*x);
  if (auto x = fields.integer("top_logprobs_num", 0, kMaxTopLogprobs)) logprobs.top_n = static_cast<int>(*x);
  logprobs.probes = fields.token_ids("token_ids_logprob");
  if (logprobs.probes.size() > kMaxProbeTokens) {
    fields.fail("token_ids_logprob",
                fmt::format("has {} ids, at most {} are taken", logprobs.probes.size(), kMaxProbeTokens));
  }
  if (!logprobs.enabled) logprobs = {};
  if (fields.error())
    outer.fail(fields.error()->param, fields.error()->message.substr(fields.error()->param.size() + 2));
}

void read_rids(Fields& fields, GenerateRequest& request) {
  auto& prompts = request.generation.prompts;
  const Json* rid = fields.find("rid");
  if (!rid) return;
  const std::vector<std::string> rids = fields.strings("rid");
  if (rid->is_array() && !rids.empty() && rids.size() != prompts.size()) {
    return fields.fail("rid", fmt::format("has {} items for {} prompts", rids.size(), prompts.size()));
  }
  for (size_t i = 0; i < prompts.size() && !rids.empty(); ++i) {
    prompts[i].rid = rid->is_array() ? rids[i] : request.is_list ? fmt::format("{}_{}", rids[0], i) : rids[0];
  }
}

}  // namespace

std::variant<GenerateRequest, ApiError> parse_generate_request(const Json& body) {
  GenerateRequest request;
  request.generation.max_tokens_name = "max_new_tokens";
  Fields fields(body);
  read_prompts(fields, request);
  reject_unsupported_request(fields);
  read_all_sampling(fields, request);
  auto& prompts = request.generation.prompts;
  for (size_t i = 0; i < prompts.size() && fields.ok(); ++i)
    read_logprobs(fields, prompts[i], i, prompts.size());
  read_rids(fields, request);
  if (auto x = fields.boolean("stream")) request.generation.stream = *x;
  if (auto x = fields.boolean("return_text_in_logprobs")) request.return_text_in_logprobs = *x;
  if (auto x = fields.boolean("return_step_info")) request.return_step_info = *x;
  if (fields.error()) return *fields.error();
  for (const PromptSpec& prompt : prompts) request.is_list = request.is_list || prompt.n > 1;
  return request;
}

}  // namespace musaic
