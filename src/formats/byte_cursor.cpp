#include "formats/byte_cursor.h"

#include "base/status.h"

namespace musaic {

std::string printable(std::string_view text) {
  constexpr size_t kMaxLength = 100;  // a name in a message, not a page
  std::string result;
  for (char c : text.substr(0, kMaxLength)) result += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > kMaxLength) result += "...";
  return result;
}

std::string_view ByteCursor::read_string() {
  const auto length = read<uint64_t>();
  require(length, 1);
  return {reinterpret_cast<const char*>(take(length)), static_cast<size_t>(length)};
}

void ByteCursor::require(uint64_t count, size_t bytes_each) const {
  if (count <= remaining() / bytes_each) return;
  if (bytes_each == 1) {
    fail_load("{}: truncated or corrupt: {} needs {} bytes at offset {}, got {} before the end of the file",
              file_, subject_, count, position_, remaining());
  }
  fail_load(
      "{}: truncated or corrupt: {} has a count of {} at offset {}, at {} bytes or more each, got {} bytes "
      "before the end of the file",
      file_, subject_, count, position_, bytes_each, remaining());
}

}  // namespace musaic
