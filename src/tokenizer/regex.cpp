#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <utility>

namespace musaic {
namespace {

constexpr uint32_t kMatchLimit = 200'000;  // steps of a search: some milliseconds
constexpr uint32_t kDepthLimit = 10'000;   // nested backtracking
constexpr uint32_t kHeapLimitKib = 16'384;

std::string message_of(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

using Context = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;
using Match = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

Context make_limits() {
  Context context(pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_depth_limit(context.get(), kDepthLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  return context;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code;
  Context limits;
};

Regex::Regex(std::string pattern, std::shared_ptr<const Code> code)
    : pattern_(std::move(pattern)), code_(std::move(code)) {}

Result<Regex> Regex::compile(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  // \C could cut a character; a pattern may not turn the limits or UTF off.
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions,
                                   &error, &offset, nullptr);
  if (code == nullptr) {
    return invalid_argument("regex '{}': {} at offset {}", pattern, message_of(error), offset);
  }
  return Regex(pattern, std::make_shared<const Code>(Code{{code, &pcre2_code_free}, make_limits()}));
}

Result<Regex::Search> Regex::search(std::string_view text, size_t from) const {
  const Match match(pcre2_match_data_create_from_pattern(code_->code.get(), nullptr), &pcre2_match_data_free);
  const int count =
      pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                  PCRE2_PARTIAL_SOFT | PCRE2_NO_UTF_CHECK, match.get(), code_->limits.get());
  if (count == PCRE2_ERROR_NOMATCH) return Search{};
  if (count < 0 && count != PCRE2_ERROR_PARTIAL) {
    return invalid_argument("regex '{}': {}", pattern_, message_of(count));
  }
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
  const auto outcome = count == PCRE2_ERROR_PARTIAL ? Search::Outcome::kPossible : Search::Outcome::kFound;
  return Search{outcome, bounds[0], bounds[1]};
}

}  // namespace musaic
