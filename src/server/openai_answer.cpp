#include "server/openai_answer.h"

#include "server/json_text.h"
#include "server/meta_info.h"

namespace musaic {

Json open_answer(const AnswerHeader& header, std::string_view object) {
  return {{"id", header.id},
          {"object", object},
          {"created", header.created},
          {"model", header.model},
          {"choices", Json::array()}};
}

void append_event(const Json& event, std::string& out) {
  out += "data: " + to_text(event) + "\n\n";
}

void append_usage_event(const AnswerHeader& header, std::string_view object,
                        const std::vector<Choice>& choices, std::string& out) {
  Json event = open_answer(header, object);
  event["usage"] = usage(choices);
  append_event(event, out);
}

Json usage_of(const Choice& choice) {
  return {{"prompt_tokens", choice.prompt_tokens()},
          {"total_tokens", choice.prompt_tokens() + choice.tokens.size()},
          {"completion_tokens", choice.tokens.size()},
          {"prompt_tokens_details", {{"cached_tokens", choice.cached_tokens}}}};
}

size_t num_visible_tokens(const Choice& choice) {
  const bool ended_by_token =
      choice.finish && choice.finish->kind == ChoiceFinish::Kind::kStop && choice.finish->matched_token >= 0;
  return choice.tokens.size() - (ended_by_token && !choice.tokens.empty() ? 1 : 0);
}

}  // namespace musaic
