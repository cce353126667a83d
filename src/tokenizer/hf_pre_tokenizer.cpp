#include "tokenizer/hf_pre_tokenizer.h"

#include <array>
#include <vector>

namespace musaic {
namespace {

using simdjson::dom::element;

struct KnownPattern {
  std::string_view pattern;
  std::string_view name;
};

constexpr std::array kPatterns = {
    KnownPattern{R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt2"},
    KnownPattern{R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                 R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
                 "llama3"},
    KnownPattern{R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                 R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
                 "qwen2"},
};

std::string_view text_of(element object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

bool flag_of(element object, std::string_view key, bool otherwise) {
  bool flag = false;
  return object[key].get(flag) == simdjson::SUCCESS ? flag : otherwise;
}

bool is_byte_level(element step, bool use_regex) {
  return text_of(step, "type") == "ByteLevel" && !flag_of(step, "add_prefix_space", true) &&
         flag_of(step, "use_regex", true) == use_regex;
}

bool splits_single_digits(element step) {
  return text_of(step, "type") == "Digits" && flag_of(step, "individual_digits", false);
}

// The pattern of a step that keeps its matches as pieces; empty for any other step.
std::string_view isolating_pattern(element step) {
  if (text_of(step, "type") != "Split") return {};
  const std::string_view behavior = text_of(step, "behavior");
  const bool invert = flag_of(step, "invert", false);
  const bool isolates = (behavior == "Isolated" && !invert) || (behavior == "Removed" && invert);
  element pattern;
  if (!isolates || step["pattern"].get(pattern) != simdjson::SUCCESS) return {};
  return text_of(pattern, "Regex");
}

std::vector<element> steps_of(element pre_tokenizer) {
  if (text_of(pre_tokenizer, "type") != "Sequence") return {pre_tokenizer};
  std::vector<element> steps;
  simdjson::dom::array array;
  if (pre_tokenizer["pretokenizers"].get(array) != simdjson::SUCCESS) return {};
  for (const element step : array) steps.push_back(step);
  return steps;
}

// Empty when the steps are none of the known ones.
std::string_view known_name(const std::vector<element>& steps) {
  if (steps.size() == 1 && is_byte_level(steps[0], true)) return "gpt2";
  if (steps.size() != 2) return "";
  if (splits_single_digits(steps[0]) && is_byte_level(steps[1], true)) return "smollm";
  if (!is_byte_level(steps[1], false)) return "";
  const std::string_view pattern = isolating_pattern(steps[0]);
  for (const KnownPattern& known : kPatterns) {
    if (known.pattern == pattern) return known.name;
  }
  return "";
}

// The patterns of steps that only cut, the last of which makes bytes of the pieces.
std::optional<std::vector<std::string>> split_patterns(const std::vector<element>& steps) {
  std::vector<std::string> patterns;
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    if (text_of(steps[i], "type") == "Digits") {
      patterns.emplace_back(splits_single_digits(steps[i]) ? "\\p{N}" : "\\p{N}+");
      continue;
    }
    const std::string_view pattern = isolating_pattern(steps[i]);
    if (pattern.empty() || flag_of(steps[i], "invert", false)) return std::nullopt;
    patterns.emplace_back(pattern);
  }
  if (steps.empty() || !(is_byte_level(steps.back(), true) || is_byte_level(steps.back(), false)))
    return std::nullopt;
  if (is_byte_level(steps.back(), true)) patterns.emplace_back(kPatterns[0].pattern);
  return patterns;
}

}  // namespace

std::optional<RecognisedPreTokenizer> recognise_pre_tokenizer(element pre_tokenizer) {
  const std::vector<element> steps = steps_of(pre_tokenizer);
  if (const std::string_view name = known_name(steps); !name.empty())
    return RecognisedPreTokenizer{.name = std::string(name)};
  auto patterns = split_patterns(steps);
  if (!patterns) return std::nullopt;
  return RecognisedPreTokenizer{.name = "splits", .split_patterns = *std::move(patterns)};
}

}  // namespace musaic
