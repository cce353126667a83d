#include "ir/spelling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace musaic {
namespace {

std::string escape(char c) {
  switch (c) {
    case '\\':
      return "\\\\";
    case '\'':
      return "\\'";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte > 0x7E ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
}

bool all(std::string_view text, bool (*holds)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), holds);
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "'";
  for (char c : text) out += escape(c);
  return out + "'";
}

bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         (c != '\0' && std::string_view("_.+/-").find(c) != std::string_view::npos);
}

bool is_operator_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ':';
}

std::string spell_name(std::string_view name) {
  return all(name, is_name_char) ? std::string(name) : quote(name);
}

std::string spell_operator(std::string_view name) {
  const bool has_namespace = name.find("::") != std::string_view::npos;
  return has_namespace && all(name, is_operator_char) ? std::string(name) : quote(name);
}

std::string spell_attribute(std::string_view name) {
  return name == "None" ? quote(name) : spell_name(name);
}

}  // namespace musaic
