#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/choice.h"
#include "server/generate_request.h"
#include "server/openai_request.h"

namespace musaic {

class Tokenizer;

// How a route shows the answers: whole, or as server-sent events. Used by one worker at a time.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // The JSON of the finished answers.
  virtual std::string body(const std::vector<Choice>& choices) = 0;
  // Appends the events (`data: ...\n\n`) for what the choice has gained since it was last shown; the caller
  // marks it as shown afterwards.
  virtual void append_events(const Choice& choice, std::string& out) = 0;
  // Appends what comes after all choices have ended, before [DONE].
  virtual void append_end(const std::vector<Choice>& choices, std::string& out) = 0;
};

// What an OpenAI answer says about itself.
struct AnswerHeader {
  std::string id;
  std::string model;
  int64_t created = 0;  // seconds since 1970
};

// `tokenizer` may be nullptr (--skip-tokenizer-init) for /generate only.
std::unique_ptr<AnswerFormat> make_generate_format(const GenerateRequest& request,
                                                   const Tokenizer* tokenizer);
std::unique_ptr<AnswerFormat> make_completion_format(const CompletionRequest& request, AnswerHeader header,
                                                     const Tokenizer& tokenizer);
std::unique_ptr<AnswerFormat> make_chat_format(const ChatRequest& request, AnswerHeader header,
                                               const Tokenizer& tokenizer);

}  // namespace musaic
