#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace musaic {

// The text with unprintable bytes replaced and its length bounded: names out of a file that may be corrupt.
std::string printable(std::string_view text);

// Reads little-endian numbers and strings one after the other; every read is checked against the end.
// Throws LoadError with the file, what was being read, the bytes expected and those left.
class ByteCursor {
 public:
  ByteCursor(std::string file, std::span<const std::byte> bytes) : file_(std::move(file)), bytes_(bytes) {}

  const std::string& file() const { return file_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  // What is being read, for messages: "key `general.name`".
  void set_subject(std::string subject) { subject_ = std::move(subject); }
  const std::string& subject() const { return subject_; }

  template <class T>
  T read() {
    static_assert(std::endian::native == std::endian::little);
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }

  // A 64-bit length and that many bytes, which stay in the file.
  std::string_view read_string();

  // Throws unless `count` things of at least `bytes_each` bytes can still follow.
  void require(uint64_t count, size_t bytes_each) const;

 private:
  const std::byte* take(size_t size) {
    if (size > remaining()) require(size, 1);
    const std::byte* start = bytes_.data() + position_;
    position_ += size;
    return start;
  }

  std::string file_;
  std::string subject_ = "the header";
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace musaic
