#include "ir/read_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace musaic {
namespace {

bool looks_whole(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

// Strides are products of dimensions: those that are numbers must not overflow.
bool is_too_large(const DimShape& shape) {
  int64_t product = 1;
  for (const Dim& dim : shape) {
    if (dim.is_constant() && dim.constant() != 0 && __builtin_mul_overflow(product, dim.constant(), &product))
      return true;
  }
  return false;
}

std::vector<int64_t> whole_numbers(TextCursor& cursor) {
  std::vector<int64_t> numbers;
  if (cursor.take("]")) return numbers;
  do {
    numbers.push_back(read_whole_number<int64_t>(cursor, "a whole number"));
  } while (cursor.take(","));
  if (!cursor.take("]")) cursor.fail("',' or ']'");
  return numbers;
}

DimShape dims(TextCursor& cursor) {
  DimShape out;
  cursor.expect("[");
  if (cursor.take("]")) return out;
  do {
    out.push_back(read_dim(cursor, ",]"));
  } while (cursor.take(","));
  if (!cursor.take("]")) cursor.fail("',' or ']'");
  return out;
}

// A device may be called `strides` too, but has no brackets.
bool has_strides(TextCursor& cursor) {
  TextCursor ahead = cursor;
  if (!ahead.take_word("strides") || ahead.peek() != '[') return false;
  cursor = ahead;
  return true;
}

DimShape read_strides(TextCursor& cursor, int rank) {
  const TextPosition at = cursor.position();
  DimShape strides = dims(cursor);
  if (static_cast<int>(strides.size()) != rank)
    cursor.fail_at(at, fmt::format("expected {} strides, got {}", rank, strides.size()));
  return strides;
}

}  // namespace

Attribute read_attribute(TextCursor& cursor) {
  if (cursor.peek() == '\'') return cursor.string("a string");
  if (cursor.take("[")) return whole_numbers(cursor);
  const TextPosition at = cursor.position();
  const std::string_view word = cursor.word();
  if (word == "True" || word == "False") return word == "True";
  int64_t whole = 0;
  double number = 0;
  if (looks_whole(word)) {
    if (read_number(word, whole)) return whole;
    cursor.fail_at(at, fmt::format("{} does not fit in 64 bits", word));
  }
  if (!word.empty() && read_number(word, number)) return number;
  cursor.fail_at(
      at, fmt::format("expected a number, True, False, a string or a list of whole numbers, got '{}'", word));
}

Meta read_meta(TextCursor& cursor) {
  Meta meta;
  const TextPosition at = cursor.position();
  const std::string_view word = cursor.word();
  const auto dtype = parse_dtype(word);
  if (!dtype) cursor.fail_at(at, fmt::format("expected a dtype such as f32, got '{}'", word));
  meta.dtype = *dtype;
  meta.shape = dims(cursor);
  for (const Dim& dim : meta.shape) {
    if (dim.is_constant() && dim.constant() < 0) cursor.fail_at(at, "a dimension is negative");
  }
  if (is_too_large(meta.shape)) cursor.fail_at(at, "the shape has more than 2^63 values");
  meta.strides = contiguous_strides(meta.shape);
  if (has_strides(cursor)) meta.strides = read_strides(cursor, meta.rank());
  meta.device = read_device(cursor);
  return meta;
}

Dim read_dim(TextCursor& cursor, std::string_view ends) {
  const TextPosition at = cursor.position();
  const std::string_view text = cursor.until(ends);
  auto dim = Dim::parse(text);
  if (!dim) cursor.fail_at(at, fmt::format("expected a dimension such as 16 or tokens * 2, got '{}'", text));
  return *std::move(dim);
}

Device read_device(TextCursor& cursor) {
  const TextPosition at = cursor.position();
  const std::string_view text = cursor.device();
  const auto device = parse_device(text);
  if (!device)
    cursor.fail_at(
        at, fmt::format("expected a device such as cpu, musa:0 or torch.device('musa:0'), got '{}'", text));
  return *device;
}

std::shared_ptr<const std::vector<std::byte>> read_bytes(TextCursor& cursor) {
  cursor.expect_word("bytes");
  const TextPosition at = cursor.position();
  const std::string digits = cursor.string("hex digits in quotes");
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    uint8_t byte = 0;
    const std::string_view pair = std::string_view(digits).substr(i, 2);
    const auto [end, error] = std::from_chars(pair.data(), pair.data() + pair.size(), byte, 16);
    if (pair.size() != 2 || error != std::errc() || end != pair.data() + 2)
      cursor.fail_at(at, fmt::format("expected pairs of hex digits, got '{}'", pair));
    bytes.push_back(std::byte{byte});
  }
  return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

}  // namespace musaic
