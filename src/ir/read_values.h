#pragma once

#include <charconv>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "ir/attributes.h"
#include "ir/text_cursor.h"
#include "tensor/meta.h"

namespace musaic {

// The parts of the text form that stand for one thing each. They throw LoadError as the cursor does.

Meta read_meta(TextCursor& cursor);  // `f32[tokens, 4] strides [8, 1] cpu`
Device read_device(TextCursor& cursor);
// A dimension up to one of `ends`.
Dim read_dim(TextCursor& cursor, std::string_view ends);
Attribute read_attribute(TextCursor& cursor);
// `bytes '00ff'`
std::shared_ptr<const std::vector<std::byte>> read_bytes(TextCursor& cursor);

// All of the text as a number within range.
template <class T>
bool read_number(std::string_view text, T& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

template <class T>
T read_whole_number(TextCursor& cursor, std::string_view what) {
  const TextPosition at = cursor.position();
  const std::string_view word = cursor.word();
  T number = 0;
  if (!read_number(word, number)) {
    cursor.fail_at(at, "expected " + std::string(what) + ", got '" + std::string(word) + "'");
  }
  return number;
}

}  // namespace musaic
