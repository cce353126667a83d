#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "formats/json.h"
#include "server/api_error.h"

namespace musaic {

// Serialises; bytes that are no UTF-8 become U+FFFD.
std::string to_text(const Json& value);

inline constexpr int kMaxJsonDepth = 64;
inline constexpr size_t kMaxObjectKeys = 4096;  // objects keep their order, so a look-up is linear
inline constexpr size_t kMaxDocumentKeys = 65536;

// A request's body: one JSON object within the limits, or the error that says what is wrong with it.
std::variant<Json, ApiError> parse_body(std::string_view text);

}  // namespace musaic
