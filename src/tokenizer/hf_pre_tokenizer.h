#pragma once

#include <simdjson.h>
#include <optional>
#include <string>
#include <vector>

namespace musaic {

// What TokenizerData calls a pre-tokenizer.
struct RecognisedPreTokenizer {
  std::string name;
  std::vector<std::string> split_patterns = {};  // of "splits"
};

// The pre-tokenizer that a tokenizer.json's `pre_tokenizer` describes, recognised by its structure and
// patterns: one of the known ones, or any sequence of isolating splits (DeepSeek's). nullopt: neither.
std::optional<RecognisedPreTokenizer> recognise_pre_tokenizer(simdjson::dom::element pre_tokenizer);

}  // namespace musaic
