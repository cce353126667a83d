#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace musaic {

// A compiled pattern (PCRE2 with UTF-8 and Unicode classes), searched with limits on steps and memory.
// Immutable; safe from any thread.
class Regex {
 public:
  struct Search {
    enum class Outcome { kNone, kPossible, kFound };
    Outcome outcome = Outcome::kNone;
    size_t begin = 0;  // kFound: the match; kPossible: where text still to come could make one
    size_t end = 0;
  };

  // The status names the pattern and the place of its mistake.
  static Result<Regex> compile(const std::string& pattern);

  // Searches `text` from `from` on; what lies before may be looked back at. Fails when the limits are
  // exceeded. REQUIRES: well-formed UTF-8.
  Result<Search> search(std::string_view text, size_t from) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  Regex(std::string pattern, std::shared_ptr<const Code> code);

  std::string pattern_;
  std::shared_ptr<const Code> code_;  // shared by copies of the object
};

}  // namespace musaic
