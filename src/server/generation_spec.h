#pragma once

#include <string>
#include <vector>

#include "request/request.h"
#include "tokenizer/text_stream.h"

namespace musaic {

// One prompt of a request and how it is to be continued, whichever route it came by.
struct PromptSpec {
  std::string rid;   // the client's name for it, or ours
  std::string text;  // when `ids` are not given
  std::vector<TokenId> ids;
  bool is_text = false;
  bool add_special_tokens = true;  // when `text` is encoded: false after a chat template
  SamplingParams sampling;
  bool max_new_tokens_given = true;  // false: up to the context
  TextRules rules;
  LogprobParams logprobs;
  int n = 1;  // answers to draw
};

struct GenerationSpec {
  std::vector<PromptSpec> prompts;
  bool stream = false;
  int stream_interval = 1;      // tokens a chunk
  std::string max_tokens_name;  // how this route calls it, for messages
};

}  // namespace musaic
