#include "server/answer_format.h"
#include "server/json_text.h"
#include "server/meta_info.h"

namespace musaic {
namespace {

class GenerateFormat : public AnswerFormat {
 public:
  GenerateFormat(const GenerateRequest& request, const Tokenizer* tokenizer)
      : is_list_(request.is_list),
        with_step_info_(request.return_step_info),
        has_text_(tokenizer != nullptr),
        logprob_texts_(request.return_text_in_logprobs ? tokenizer : nullptr) {}

  std::string body(const std::vector<Choice>& choices) override {
    if (!is_list_) return to_text(answer(choices.front()));
    Json list = Json::array();
    for (const Choice& choice : choices) list.push_back(answer(choice));
    return to_text(list);
  }

  void append_events(const Choice& choice, std::string& out) override {
    Json event = answer(choice);
    if (is_list_) event["index"] = choice.index;
    out += "data: " + to_text(event) + "\n\n";
  }

  void append_end(const std::vector<Choice>&, std::string&) override {}

 private:
  Json answer(const Choice& choice) const {
    Json out = Json::object();
    if (has_text_) out["text"] = choice.text;
    out["output_ids"] = choice.tokens;
    out["meta_info"] = meta_info(choice, with_step_info_);
    add_logprobs(choice, logprob_texts_, out["meta_info"]);
    return out;
  }

  const bool is_list_;
  const bool with_step_info_;
  const bool has_text_;
  const Tokenizer* const logprob_texts_;
};

}  // namespace

std::unique_ptr<AnswerFormat> make_generate_format(const GenerateRequest& request,
                                                   const Tokenizer* tokenizer) {
  return std::make_unique<GenerateFormat>(request, tokenizer);
}

}  // namespace musaic
