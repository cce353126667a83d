#include "server/json_text.h"

#include <fmt/format.h>

#include <vector>

namespace musaic {
namespace {

// Counts depth and keys in one pass over the text, before anything is built from it. A broken text is left to
// the parser.
class LimitScan {
 public:
  std::optional<std::string> run(std::string_view text) {
    for (const char c : text) {
      if (in_string_) {
        step_in_string(c);
      } else if (c == '"') {
        in_string_ = true;
      } else if (auto broken = step_outside(c)) {
        return broken;
      }
    }
    return std::nullopt;
  }

 private:
  void step_in_string(char c) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
  }

  std::optional<std::string> step_outside(char c) {
    if (c == '{' || c == '[') {
      keys_.push_back(0);
      if (keys_.size() > kMaxJsonDepth)
        return fmt::format("the JSON is nested deeper than {}", kMaxJsonDepth);
    } else if ((c == '}' || c == ']') && !keys_.empty()) {
      keys_.pop_back();
    } else if (c == ':' && !keys_.empty()) {
      if (++keys_.back() > kMaxObjectKeys)
        return fmt::format("a JSON object has more than {} keys", kMaxObjectKeys);
      if (++all_keys_ > kMaxDocumentKeys)
        return fmt::format("the JSON has more than {} keys", kMaxDocumentKeys);
    }
    return std::nullopt;
  }

  std::vector<size_t> keys_;  // by depth
  size_t all_keys_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

// nlohmann's messages begin with "[json.exception.parse_error.101] ".
std::string without_prefix(std::string_view message) {
  const size_t end = message.find("] ");
  return std::string(end == std::string_view::npos ? message : message.substr(end + 2));
}

}  // namespace

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::variant<Json, ApiError> parse_body(std::string_view text) {
  if (text.empty()) return ApiError{.message = "the request has no body; expected a JSON object"};
  if (auto broken = LimitScan().run(text)) return ApiError{.message = *broken};
  try {
    Json value = Json::parse(text);
    if (!value.is_object())
      return ApiError{.message = fmt::format("the body is a JSON {}; expected an object", value.type_name())};
    return value;
  } catch (const Json::exception& error) {
    return ApiError{.message = "the body is not valid JSON: " + without_prefix(error.what())};
  }
}

}  // namespace musaic
