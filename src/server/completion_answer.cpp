#include <algorithm>

#include "server/answer_format.h"
#include "server/json_text.h"
#include "server/meta_info.h"
#include "server/openai_answer.h"
#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// OpenAI's lists of tokens, their log-probabilities and their places in the text.
class LogprobColumns {
 public:
  LogprobColumns(const Tokenizer& tokenizer, size_t first_offset)
      : tokenizer_(tokenizer), offset_(first_offset) {}

  void add(TokenId token, const PositionLogprobs* position) {
    const std::string text = tokenizer_.decode({token}, false);
    tokens_.push_back(text);
    offsets_.push_back(offset_);
    offset_ += count_characters(text);
    logprobs_.push_back(position ? Json(position->logprob) : Json());
    top_.push_back(position ? top_of(*position) : Json());
  }

  size_t end_offset() const { return offset_; }
  Json take() {
    return {{"text_offset", offsets_},
            {"token_logprobs", logprobs_},
            {"tokens", tokens_},
            {"top_logprobs", top_}};
  }

 private:
  Json top_of(const PositionLogprobs& position) const {
    Json top = Json::object();
    for (const auto& [token, logprob] : position.top) top[tokenizer_.decode({token}, false)] = logprob;
    return top;
  }

  const Tokenizer& tokenizer_;
  size_t offset_;
  Json tokens_ = Json::array(), offsets_ = Json::array(), logprobs_ = Json::array(), top_ = Json::array();
};

class CompletionFormat : public AnswerFormat {
 public:
  CompletionFormat(const CompletionRequest& request, AnswerHeader header, const Tokenizer& tokenizer)
      : options_(request.options),
        echo_(request.echo),
        logprobs_(request.logprobs),
        header_(std::move(header)),
        tokenizer_(tokenizer) {}

  std::string body(const std::vector<Choice>& choices) override {
    Json out = open_answer(header_, "text_completion");
    for (const Choice& choice : choices) out["choices"].push_back(shown(choice));
    out["usage"] = usage(choices);
    return to_text(out);
  }

  void append_events(const Choice& choice, std::string& out) override {
    Json one = shown(choice);
    const bool says_something =
        !one["text"].get_ref<const std::string&>().empty() || !one["logprobs"].is_null() || choice.finish;
    if (!says_something) return;
    Json event = open_answer(header_, "text_completion");
    event["choices"].push_back(std::move(one));
    if (options_.continuous_usage_stats) event["usage"] = usage_of(choice);
    append_event(event, out);
  }

  void append_end(const std::vector<Choice>& choices, std::string& out) override {
    if (options_.include_usage) append_usage_event(header_, "text_completion", choices, out);
  }

 private:
  // What is new since the choice was last shown; all of it for a choice that never was.
  Json shown(const Choice& choice) {
    const std::string prompt = echo_ && !choice.started ? prompt_text(choice) : "";
    Json one = {{"index", choice.index},
                {"text", prompt + choice.text.substr(choice.shown_text)},
                {"logprobs", logprobs_ ? new_logprobs(choice) : Json()},
                {"finish_reason", choice.finish ? Json(finish_name(choice.finish->kind)) : Json()},
                {"matched_stop", matched_stop(choice)}};
    if (options_.return_meta_info) one["meta_info"] = meta_info(choice, options_.return_step_info);
    return one;
  }

  std::string prompt_text(const Choice& choice) const {
    return choice.prompt->is_text ? choice.prompt->text : tokenizer_.decode(choice.prompt->ids, true);
  }

  Json new_logprobs(const Choice& choice) {
    if (static_cast<int>(offsets_.size()) <= choice.index) offsets_.resize(choice.index + 1, 0);
    size_t& offset = offsets_[choice.index];
    LogprobColumns columns(tokenizer_, offset);
    if (echo_ && !choice.started) {
      const auto& ids = choice.prompt->ids;
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool known = i > 0 && i - 1 < choice.input_logprobs.size();
        columns.add(ids[i], known ? &choice.input_logprobs[i - 1] : nullptr);
      }
    }
    const size_t end = num_visible_tokens(choice);
    const bool any = (echo_ && !choice.started) || choice.shown_tokens < end;
    for (size_t i = choice.shown_tokens; i < end; ++i) {
      columns.add(choice.tokens[i], i < choice.output_logprobs.size() ? &choice.output_logprobs[i] : nullptr);
    }
    offset = columns.end_offset();
    return any || !choice.shown_tokens ? columns.take() : Json();
  }

  const OpenAiOptions options_;
  const bool echo_;
  const bool logprobs_;
  const AnswerHeader header_;
  const Tokenizer& tokenizer_;
  std::vector<size_t> offsets_;  // by choice: characters of the tokens shown so far
};

}  // namespace

std::unique_ptr<AnswerFormat> make_completion_format(const CompletionRequest& request, AnswerHeader header,
                                                     const Tokenizer& tokenizer) {
  return std::make_unique<CompletionFormat>(request, std::move(header), tokenizer);
}

}  // namespace musaic
