#include "tokenizer/text_stream.h"

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace musaic {
namespace {

// Bytes at the end of `text` that are the longest proper prefix of `stop`.
size_t begun_bytes(std::string_view text, std::string_view stop) {
  for (size_t bytes = std::min(text.size(), stop.size() - 1); bytes > 0; --bytes) {
    if (text.ends_with(stop.substr(0, bytes))) return bytes;
  }
  return 0;
}

}  // namespace

Result<TextStream> TextStream::create(std::shared_ptr<const Tokenizer> tokenizer, TextRules rules) {
  for (const std::string& stop : rules.stop) {
    if (stop.empty()) return invalid_argument("stop: an empty string, expected at least one character");
  }
  std::vector<Regex> patterns;
  for (const std::string& pattern : rules.stop_regex) {
    Result<Regex> regex = Regex::compile(pattern);
    if (!regex.ok()) return invalid_argument("stop_{}", regex.status().message());
    patterns.push_back(std::move(*regex));
  }
  return TextStream(std::move(tokenizer), std::move(rules), std::move(patterns));
}

TextStream::TextStream(std::shared_ptr<const Tokenizer> tokenizer, TextRules rules,
                       std::vector<Regex> patterns)
    : tokenizer_(std::move(tokenizer)),
      rules_(std::move(rules)),
      patterns_(std::move(patterns)),
      searched_(patterns_.size(), 0),
      detokenizer_(*tokenizer_, rules_.skip_special_tokens) {}

Result<TextUpdate> TextStream::push(std::span<const TokenId> tokens, bool ends_with_stop_token) {
  TextUpdate update;
  for (size_t i = 0; i < tokens.size() && !stopped_; ++i) {
    ++update.tokens;
    ++num_tokens_;
    const bool is_stop_token = ends_with_stop_token && i + 1 == tokens.size();
    if (is_stop_token && !rules_.no_stop_trim) break;
    Result<std::optional<StopMatch>> match = add(detokenizer_.push(tokens[i]));
    if (!match.ok()) {
      stopped_ = true;
      return match.status();
    }
    update.match = std::move(*match);
  }
  update.text = release(stopped_ ? text_.size() : safe_size());
  return update;
}

TextUpdate TextStream::finish() {
  TextUpdate update;
  if (!stopped_) {
    text_ += detokenizer_.flush();
    update.text = release(text_.size());
  }
  stopped_ = true;
  return update;
}

// Appends one token's text and looks for a stop; at one, what comes from it on is cut off.
Result<std::optional<StopMatch>> TextStream::add(std::string_view text) {
  const size_t old_size = text_.size();
  text_ += text;
  if (text.empty()) return std::optional<StopMatch>();
  if (const auto found = find_stop_string(old_size)) return std::optional(stop_at(*found));
  auto found = find_pattern();
  if (!found.ok()) return found.status();
  if (*found) return std::optional(stop_at(**found));
  return std::optional<StopMatch>();
}

// The stop that is complete first, the longest of those; only text after `old_size` is new.
std::optional<TextStream::Found> TextStream::find_stop_string(size_t old_size) const {
  std::optional<Found> best;
  for (const std::string& stop : rules_.stop) {
    const size_t from = old_size >= stop.size() ? old_size - stop.size() + 1 : 0;
    const size_t begin = text_.find(stop, from);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (!best || end < best->end || (end == best->end && begin < best->begin))
      best = Found{begin, end, &stop};
  }
  return best;
}

// The leftmost match of any pattern.
Result<std::optional<TextStream::Found>> TextStream::find_pattern() {
  std::optional<Found> best;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    const Result<Regex::Search> search = patterns_[i].search(text_, searched_[i]);
    if (!search.ok()) return invalid_argument("stop_{}", search.status().message());
    const Regex::Search& got = search.value();
    searched_[i] = got.outcome == Regex::Search::Outcome::kNone ? text_.size() : got.begin;
    if (got.outcome != Regex::Search::Outcome::kFound) continue;
    if (!best || got.begin < best->begin) best = Found{got.begin, got.end, &rules_.stop_regex[i]};
  }
  return best;
}

StopMatch TextStream::stop_at(const Found& found) {
  stopped_ = true;
  StopMatch match{*found.rule, text_.substr(found.begin, found.end - found.begin)};
  text_.resize(rules_.no_stop_trim ? found.end : found.begin);
  return match;
}

// How much of the text no stop can take back.
size_t TextStream::safe_size() const {
  size_t held = 0;
  for (const std::string& stop : rules_.stop) held = std::max(held, begun_bytes(text_, stop));
  size_t safe = text_.size() - held;
  // The bytes of a stop may begin within a character.
  while (safe > 0 && safe < text_.size() && (text_[safe] & 0xC0) == 0x80) --safe;
  for (const size_t searched : searched_) safe = std::min(safe, searched);
  return safe;
}

std::string TextStream::release(size_t size) {
  if (size <= released_.size()) return "";
  std::string text = text_.substr(released_.size(), size - released_.size());
  released_ += text;
  return text;
}

}  // namespace musaic
