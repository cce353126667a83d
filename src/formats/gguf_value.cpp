#include "formats/gguf_value.h"

#include <limits>
#include <type_traits>

#include "base/status.h"

namespace musaic {
namespace {

// The numbers that the format gives to value types.
enum GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

constexpr size_t kSmallestString = sizeof(uint64_t);  // an empty one: only its length

bool read_bool(ByteCursor& cursor) {
  const auto value = cursor.read<uint8_t>();
  if (value > 1) {
    fail_load("{}: {} is a bool of value {}, expected 0 or 1", cursor.file(), cursor.subject(), value);
  }
  return value == 1;
}

int64_t read_uint64(ByteCursor& cursor) {
  const auto value = cursor.read<uint64_t>();
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    fail_load("{}: {} is {}, expected at most 2^63 - 1", cursor.file(), cursor.subject(), value);
  }
  return static_cast<int64_t>(value);
}

// One element of type `Stored`, widened to `Kept`.
template <class Stored, class Kept>
Kept read_element(ByteCursor& cursor) {
  if constexpr (std::is_same_v<Kept, std::string>)
    return std::string(cursor.read_string());
  else if constexpr (std::is_same_v<Kept, bool>)
    return read_bool(cursor);
  else if constexpr (std::is_same_v<Stored, uint64_t>)
    return read_uint64(cursor);
  else
    return static_cast<Kept>(cursor.read<Stored>());
}

template <class Stored, class Kept>
std::vector<Kept> read_elements(ByteCursor& cursor) {
  const auto count = cursor.read<uint64_t>();
  cursor.require(count, std::is_same_v<Kept, std::string> ? kSmallestString : sizeof(Stored));
  std::vector<Kept> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) values.push_back(read_element<Stored, Kept>(cursor));
  return values;
}

template <class Stored, class Kept>
GgufValue read_value(ByteCursor& cursor, bool is_array) {
  if (is_array) return read_elements<Stored, Kept>(cursor);
  return read_element<Stored, Kept>(cursor);
}

GgufValue read_typed(ByteCursor& cursor, uint32_t type, bool is_array) {
  switch (type) {
    case kUint8:
      return read_value<uint8_t, int64_t>(cursor, is_array);
    case kInt8:
      return read_value<int8_t, int64_t>(cursor, is_array);
    case kUint16:
      return read_value<uint16_t, int64_t>(cursor, is_array);
    case kInt16:
      return read_value<int16_t, int64_t>(cursor, is_array);
    case kUint32:
      return read_value<uint32_t, int64_t>(cursor, is_array);
    case kInt32:
      return read_value<int32_t, int64_t>(cursor, is_array);
    case kUint64:
      return read_value<uint64_t, int64_t>(cursor, is_array);
    case kInt64:
      return read_value<int64_t, int64_t>(cursor, is_array);
    case kFloat32:
      return read_value<float, double>(cursor, is_array);
    case kFloat64:
      return read_value<double, double>(cursor, is_array);
    case kBool:
      return read_value<uint8_t, bool>(cursor, is_array);
    case kString:
      return read_value<char, std::string>(cursor, is_array);
    case kArray:
      fail_load("{}: {} is an array of arrays, expected plain elements", cursor.file(), cursor.subject());
    default:
      fail_load("{}: {} has value type {}, expected 0 to {}", cursor.file(), cursor.subject(), type,
                static_cast<uint32_t>(kFloat64));
  }
}

}  // namespace

GgufValue read_gguf_value(ByteCursor& cursor) {
  const auto type = cursor.read<uint32_t>();
  if (type != kArray) return read_typed(cursor, type, false);
  return read_typed(cursor, cursor.read<uint32_t>(), true);
}

}  // namespace musaic
