#include "server/json_text.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <optional>
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

Json to_json(simdjson::dom::element value);

Json to_json(const simdjson::dom::object& object) {
  Json json = Json::object();
  for (const auto& [key, value] : object)
    json[std::string(key)] = to_json(value);  // the last of a name counts
  return json;
}

Json to_json(const simdjson::dom::array& array) {
  Json::array_t values;
  values.reserve(array.size());
  for (const simdjson::dom::element value : array) values.push_back(to_json(value));
  return values;
}

// As nlohmann reads it: whole numbers that are not below zero are unsigned.
Json to_json(simdjson::dom::element value) {
  switch (value.type()) {
    case simdjson::dom::element_type::OBJECT:
      return to_json(simdjson::dom::object(value));
    case simdjson::dom::element_type::ARRAY:
      return to_json(simdjson::dom::array(value));
    case simdjson::dom::element_type::STRING:
      return std::string(std::string_view(value));
    case simdjson::dom::element_type::DOUBLE:
      return double(value);
    case simdjson::dom::element_type::UINT64:
      return uint64_t(value);
    case simdjson::dom::element_type::INT64: {
      const int64_t number = value;
      return number < 0 ? Json(number) : Json(static_cast<uint64_t>(number));
    }
    case simdjson::dom::element_type::BOOL:
      return bool(value);
    case simdjson::dom::element_type::NULL_VALUE:
      break;
  }
  return nullptr;
}

// Twice as fast as nlohmann's parser for a prompt of token ids. What it does not take, as a broken text or a
// number of more than 64 bits, is nlohmann's to explain or to take.
std::optional<Json> parse_fast(std::string_view text) {
  constexpr size_t kMostKept = 256u << 10;  // bytes of text for which a thread keeps its parser's memory
  thread_local simdjson::dom::parser kept;
  simdjson::dom::parser large;
  simdjson::dom::parser& parser = text.size() <= kMostKept ? kept : large;
  simdjson::dom::element document;
  if (parser.parse(text.data(), text.size()).get(document) != simdjson::SUCCESS) return std::nullopt;
  return to_json(document);
}

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
    std::optional<Json> fast = parse_fast(text);
    Json value = fast ? std::move(*fast) : Json::parse(text);
    if (!value.is_object())
      return ApiError{.message = fmt::format("the body is a JSON {}; expected an object", value.type_name())};
    return value;
  } catch (const Json::exception& error) {
    return ApiError{.message = "the body is not valid JSON: " + without_prefix(error.what())};
  }
}

}  // namespace musaic
