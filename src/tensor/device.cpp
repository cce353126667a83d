#include "tensor/device.h"

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

std::string without_spaces_and_quotes(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != ' ' && c != '\'' && c != '"') out += c;
  }
  return out;
}

std::optional<Device> from_parts(std::string_view type, std::optional<std::string_view> index) {
  if (!is_type_name(type)) return std::nullopt;
  if (!index) return Device{std::string(type), -1};
  const auto number = parse_index(*index);
  if (!number) return std::nullopt;
  return Device{std::string(type), *number};
}

bool strip(std::string_view& text, std::string_view prefix, std::string_view suffix) {
  if (!text.starts_with(prefix) || !text.ends_with(suffix)) return false;
  text.remove_prefix(prefix.size());
  text.remove_suffix(suffix.size());
  return true;
}

}  // namespace

std::string to_string(const Device& device) {
  return device.index < 0 ? device.type : device.type + ":" + std::to_string(device.index);
}

std::optional<Device> parse_device(std::string_view text) {
  const std::string compact = without_spaces_and_quotes(text);
  std::string_view rest = compact;
  if (strip(rest, "device(type=", ")")) {
    const size_t comma = rest.find(",index=");
    if (comma == std::string_view::npos) return from_parts(rest, std::nullopt);
    return from_parts(rest.substr(0, comma), rest.substr(comma + 7));
  }
  strip(rest, "torch.device(", ")");
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos) return from_parts(rest, std::nullopt);
  return from_parts(rest.substr(0, colon), rest.substr(colon + 1));
}

}  // namespace musaic
