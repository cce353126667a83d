#include "tensor/device.h"

#include <cctype>
#include <charconv>

namespace musaic {
namespace {

bool is_type_name(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_')) return false;
  }
  return !std::isdigit(static_cast<unsigned char>(text.front()));
}

std::optional<int> parse_index(std::string_view text) {
  int index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index < 0) return std::nullopt;
  return index;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool strip(std::string_view& text, std::string_view prefix, std::string_view suffix) {
  if (text.size() < prefix.size() + suffix.size() || !text.starts_with(prefix) || !text.ends_with(suffix))
    return false;
  text.remove_prefix(prefix.size());
  text.remove_suffix(suffix.size());
  return true;
}

std::string_view unquoted(std::string_view text) {
  text = trimmed(text);
  if (!strip(text, "'", "'")) strip(text, "\"", "\"");
  return text;
}

// `name=value` → value.
std::optional<std::string_view> argument(std::string_view text, std::string_view name) {
  text = trimmed(text);
  if (!strip(text, name, "")) return std::nullopt;
  text = trimmed(text);
  if (!strip(text, "=", "")) return std::nullopt;
  return trimmed(text);
}

std::optional<Device> from_parts(std::string_view type, std::optional<std::string_view> index) {
  if (!is_type_name(type)) return std::nullopt;
  if (!index) return Device{std::string(type), -1};
  const auto number = parse_index(*index);
  if (!number) return std::nullopt;
  if (type == "cpu") return *number == 0 ? std::optional(Device{}) : std::nullopt;
  return Device{std::string(type), *number};
}

// `musa:0`, perhaps in quotes.
std::optional<Device> from_short(std::string_view text) {
  text = unquoted(text);
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return from_parts(text, std::nullopt);
  return from_parts(text.substr(0, colon), text.substr(colon + 1));
}

// What stands between the parentheses of device(...): `type='musa', index=0` or `'musa:0'`.
std::optional<Device> from_arguments(std::string_view text) {
  const size_t comma = text.find(',');
  const auto type = argument(text.substr(0, comma), "type");
  if (comma == std::string_view::npos)
    return type ? from_parts(unquoted(*type), std::nullopt) : from_short(text);
  const auto index = argument(text.substr(comma + 1), "index");
  return type && index ? from_parts(unquoted(*type), *index) : std::nullopt;
}

}  // namespace

std::string to_string(const Device& device) {
  return device.index < 0 ? device.type : device.type + ":" + std::to_string(device.index);
}

std::optional<Device> parse_device(std::string_view text) {
  text = trimmed(text);
  std::string_view rest = text;
  strip(rest, "torch.", "");
  return strip(rest, "device(", ")") ? from_arguments(rest) : from_short(text);
}

}  // namespace musaic
