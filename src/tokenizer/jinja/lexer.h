#pragma once

#include <string>
#include <vector>

namespace musaic::jinja {

struct Token {
  enum class Kind {
    kData,
    kBlockBegin,
    kBlockEnd,
    kVariableBegin,
    kVariableEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string text;  // data and strings: with their escapes resolved
  int line = 1;
};

// Cuts a template into tokens, with white space controlled as Hugging Face sets it (trim_blocks,
// lstrip_blocks). The last token is kEnd. Throws TemplateError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace musaic::jinja
