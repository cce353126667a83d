#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"

namespace musaic {

// Cuts text as Hugging Face's sequence of `Split` steps with the behavior `Isolated` does: each step cuts the
// pieces of the one before, so that every match of its pattern is a piece, and what lies between two matches.
// Immutable; safe from any thread.
class SplitSteps {
 public:
  SplitSteps() = default;  // no step: the text is one piece
  // Patterns as Hugging Face's library reads them (Oniguruma's syntax as far as PCRE2 shares it). Throws
  // LoadError for one that does not compile.
  explicit SplitSteps(const std::vector<std::string>& patterns);

  // Calls `visit` with the pieces in order. Ill-formed bytes are pieces of their own; so is the rest of a
  // piece whose search exceeds the limits of Regex.
  using Visit = std::function<void(std::string_view piece)>;
  void cut(std::string_view text, const Visit& visit) const;

 private:
  void cut_from(size_t step, std::string_view text, const Visit& visit) const;

  std::vector<Regex> steps_;
};

}  // namespace musaic
