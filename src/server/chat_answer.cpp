#include "server/answer_format.h"
#include "server/json_text.h"
#include "server/meta_info.h"
#include "server/openai_answer.h"
#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

class ChatFormat : public AnswerFormat {
 public:
  ChatFormat(const ChatRequest& request, AnswerHeader header, const Tokenizer& tokenizer)
      : options_(request.options), header_(std::move(header)), tokenizer_(tokenizer) {}

  std::string body(const std::vector<Choice>& choices) override {
    Json out = open_answer(header_, "chat.completion");
    for (const Choice& choice : choices) {
      Json one = {{"index", choice.index}, {"message", {{"role", "assistant"}, {"content", choice.text}}}};
      finish_choice(choice, one);
      out["choices"].push_back(std::move(one));
    }
    out["usage"] = usage(choices);
    return to_text(out);
  }

  void append_events(const Choice& choice, std::string& out) override {
    if (!choice.started) append_delta(choice, {{"role", "assistant"}, {"content", ""}}, false, out);
    const std::string text = choice.text.substr(choice.shown_text);
    const bool has_logprobs =
        choice.prompt->logprobs.enabled && choice.shown_tokens < num_visible_tokens(choice);
    if (!text.empty() || has_logprobs) append_delta(choice, {{"content", text}}, has_logprobs, out);
    if (choice.finish) append_finish(choice, out);
  }

  void append_end(const std::vector<Choice>& choices, std::string& out) override {
    if (options_.include_usage) append_usage_event(header_, kChunk, choices, out);
  }

 private:
  static constexpr std::string_view kChunk = "chat.completion.chunk";

  void append_delta(const Choice& choice, Json delta, bool with_logprobs, std::string& out) const {
    append_choice(choice,
                  {{"index", choice.index},
                   {"delta", std::move(delta)},
                   {"logprobs", with_logprobs ? logprobs(choice) : Json()},
                   {"finish_reason", nullptr}},
                  out);
  }

  void append_finish(const Choice& choice, std::string& out) const {
    Json one = {{"index", choice.index},
                {"delta", Json::object()},
                {"logprobs", nullptr},
                {"finish_reason", finish_name(choice.finish->kind)},
                {"matched_stop", matched_stop(choice)}};
    if (options_.return_meta_info) one["meta_info"] = meta_info(choice, options_.return_step_info);
    append_choice(choice, std::move(one), out);
  }

  void append_choice(const Choice& choice, Json one, std::string& out) const {
    Json event = open_answer(header_, kChunk);
    event["choices"].push_back(std::move(one));
    if (options_.continuous_usage_stats) event["usage"] = usage_of(choice);
    append_event(event, out);
  }

  void finish_choice(const Choice& choice, Json& one) const {
    one["logprobs"] = choice.prompt->logprobs.enabled ? logprobs(choice) : Json();
    one["finish_reason"] = choice.finish ? Json(finish_name(choice.finish->kind)) : Json();
    one["matched_stop"] = matched_stop(choice);
    if (options_.return_meta_info) one["meta_info"] = meta_info(choice, options_.return_step_info);
  }

  Json token(TokenId id, float logprob) const {
    Json bytes = Json::array();
    for (const char byte : tokenizer_.token_bytes(id, false))
      bytes.push_back(static_cast<unsigned char>(byte));
    return {{"token", tokenizer_.decode({id}, false)}, {"bytes", std::move(bytes)}, {"logprob", logprob}};
  }

  // Of the tokens that were not shown yet.
  Json logprobs(const Choice& choice) const {
    Json content = Json::array();
    const size_t end = std::min(num_visible_tokens(choice), choice.output_logprobs.size());
    for (size_t i = choice.shown_tokens; i < end; ++i) {
      const PositionLogprobs& position = choice.output_logprobs[i];
      Json one = token(choice.tokens[i], position.logprob);
      one["top_logprobs"] = Json::array();
      for (const auto& [id, logprob] : position.top) one["top_logprobs"].push_back(token(id, logprob));
      content.push_back(std::move(one));
    }
    return {{"content", std::move(content)}};
  }

  const OpenAiOptions options_;
  const AnswerHeader header_;
  const Tokenizer& tokenizer_;
};

}  // namespace

std::unique_ptr<AnswerFormat> make_chat_format(const ChatRequest& request, AnswerHeader header,
                                               const Tokenizer& tokenizer) {
  return std::make_unique<ChatFormat>(request, std::move(header), tokenizer);
}

}  // namespace musaic
