#include "server/meta_info.h"

#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

using Alternatives = std::vector<std::pair<TokenId, float>>;

class LogprobLists {
 public:
  explicit LogprobLists(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  Json entry(const Json& logprob, TokenId token) const {
    return Json::array({logprob, token, tokenizer_ ? Json(tokenizer_->decode({token}, false)) : Json()});
  }

  Json alternatives(const Alternatives& list) const {
    Json out = Json::array();
    for (const auto& [token, logprob] : list) out.push_back(entry(logprob, token));
    return out;
  }

  Json tokens(const std::vector<PositionLogprobs>& positions) const {
    Json out = Json::array();
    for (const PositionLogprobs& position : positions) out.push_back(entry(position.logprob, position.token));
    return out;
  }

  Json each(const std::vector<PositionLogprobs>& positions, Alternatives PositionLogprobs::*member) const {
    Json out = Json::array();
    for (const PositionLogprobs& position : positions) out.push_back(alternatives(position.*member));
    return out;
  }

 private:
  const Tokenizer* tokenizer_;
};

// The first position that was asked for has nothing before it that this list shows: its entry is null.
Json with_null_first(const Choice& choice, Json first, Json rest) {
  Json out = Json::array();
  const int start = choice.prompt->logprobs.start;
  if (start < 0 || start >= choice.prompt_tokens()) return out;
  out.push_back(std::move(first));
  for (Json& one : rest) out.push_back(std::move(one));
  return out;
}

}  // namespace

Json matched_stop(const Choice& choice) {
  if (!choice.finish || choice.finish->kind != ChoiceFinish::Kind::kStop) return Json();
  if (choice.finish->matched_token >= 0) return choice.finish->matched_token;
  return choice.finish->matched_text;
}

Json finish_reason(const Choice& choice) {
  if (!choice.finish) return Json();
  Json reason = {{"type", finish_name(choice.finish->kind)}};
  switch (choice.finish->kind) {
    case ChoiceFinish::Kind::kStop:
      reason["matched"] = matched_stop(choice);
      break;
    case ChoiceFinish::Kind::kLength:
      reason["length"] = choice.tokens.size();
      break;
    case ChoiceFinish::Kind::kAbort:
      reason["message"] = choice.finish->message;
      break;
  }
  return reason;
}

Json meta_info(const Choice& choice, bool with_step_info) {
  Json info = {{"id", choice.rid},
               {"finish_reason", finish_reason(choice)},
               {"prompt_tokens", choice.prompt_tokens()},
               {"completion_tokens", choice.tokens.size()},
               {"cached_tokens", choice.cached_tokens},
               {"weight_version", "default"}};
  if (choice.finish) info["e2e_latency"] = choice.seconds_since_created(choice.finished_at);
  if (with_step_info) {
    info["musaic"] = {{"first_step", choice.first_step},
                      {"last_step", choice.last_step},
                      {"queue_seconds", choice.queue_seconds}};
  }
  return info;
}

void add_logprobs(const Choice& choice, const Tokenizer* tokenizer, Json& info) {
  const LogprobParams& asked = choice.prompt->logprobs;
  if (!asked.enabled) return;
  const LogprobLists lists(tokenizer);
  const auto& input = choice.input_logprobs;
  const auto& output = choice.output_logprobs;
  const bool has_first = asked.start >= 0 && asked.start < choice.prompt_tokens();
  const Json first = has_first ? lists.entry(Json(), choice.prompt->ids[asked.start]) : Json();
  info["input_token_logprobs"] = with_null_first(choice, first, lists.tokens(input));
  info["output_token_logprobs"] = lists.tokens(output);
  if (asked.top_n > 0) {
    info["input_top_logprobs"] = with_null_first(choice, Json(), lists.each(input, &PositionLogprobs::top));
    info["output_top_logprobs"] = lists.each(output, &PositionLogprobs::top);
  }
  if (!asked.probes.empty()) {
    info["input_token_ids_logprobs"] =
        with_null_first(choice, Json(), lists.each(input, &PositionLogprobs::probes));
    info["output_token_ids_logprobs"] = lists.each(output, &PositionLogprobs::probes);
  }
}

Json usage(const std::vector<Choice>& choices) {
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  int last_prompt = -1;
  for (const Choice& choice : choices) {
    completion_tokens += static_cast<int64_t>(choice.tokens.size());
    if (choice.prompt_index == last_prompt) continue;  // the answers to one prompt count it once
    last_prompt = choice.prompt_index;
    prompt_tokens += choice.prompt_tokens();
    cached_tokens += choice.cached_tokens;
  }
  return {{"prompt_tokens", prompt_tokens},
          {"total_tokens", prompt_tokens + completion_tokens},
          {"completion_tokens", completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens}}}};
}

}  // namespace musaic
