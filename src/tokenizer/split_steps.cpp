#include "tokenizer/split_steps.h"

#include "base/status.h"
#include "tokenizer/unicode.h"

namespace musaic {
namespace {

// Oniguruma's `$` stands before every line's end, and its \s is Unicode's White_Space, which PCRE2's exceeds.
std::string as_pcre(const std::string& pattern) {
  std::string out = "(?m)";
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      out += "\\p{wspace}";
    } else if (escaped == 'S') {
      out += "\\P{wspace}";
    } else {
      out += {'\\', escaped};
    }
  }
  return out;
}

}  // namespace

SplitSteps::SplitSteps(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    auto regex = Regex::compile(as_pcre(pattern));
    if (!regex.ok()) fail_load("tokenizer: {}", regex.status().message());
    steps_.push_back(*std::move(regex));
  }
}

void SplitSteps::cut(std::string_view text, const Visit& visit) const {
  size_t begin = 0;  // of the well-formed stretch
  for (size_t i = 0; i < text.size();) {
    const DecodedCharacter character = decode_character(text, i);
    if (!character.valid) {
      cut_from(0, text.substr(begin, i - begin), visit);
      visit(text.substr(i, character.bytes));
      begin = i + character.bytes;
    }
    i += character.bytes;
  }
  cut_from(0, text.substr(begin), visit);
}

void SplitSteps::cut_from(size_t step, std::string_view text, const Visit& visit) const {
  if (text.empty()) return;
  if (step == steps_.size()) return visit(text);
  size_t begin = 0;
  while (begin < text.size()) {
    auto found = steps_[step].search(text, begin);
    if (!found.ok() || found->outcome != Regex::Search::Outcome::kFound || found->end == found->begin) break;
    cut_from(step + 1, text.substr(begin, found->begin - begin), visit);
    cut_from(step + 1, text.substr(found->begin, found->end - found->begin), visit);
    begin = found->end;
  }
  cut_from(step + 1, text.substr(begin), visit);
}

}  // namespace musaic
