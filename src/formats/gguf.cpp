#include "formats/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "base/status.h"
#include "formats/byte_cursor.h"
#include "formats/gguf_tensor_info.h"
#include "formats/gguf_value.h"

namespace musaic {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kVersion = 3;
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kSmallestAlignment = 8;        // the format's: so that every element type is aligned
constexpr size_t kSmallestKeyValue = 8 + 4 + 1;  // key length, type, one byte

void check_version(const ByteCursor& cursor, uint32_t version) {
  if (version == kVersion) return;
  // The number of a file of the other byte order has its low half empty.
  if ((version & 0xFFFF) == 0 && version != 0) {
    fail_load("{}: big-endian GGUF, expected little-endian", cursor.file());
  }
  fail_load("{}: GGUF version {}, expected {}", cursor.file(), version, kVersion);
}

void check_header(ByteCursor& cursor) {
  if (cursor.remaining() < kMagic.size()) {
    fail_load("{}: not a GGUF file: {} bytes long", cursor.file(), cursor.remaining());
  }
  const auto magic = cursor.read<std::array<char, 4>>();
  const std::string_view got(magic.data(), magic.size());
  if (got != kMagic) {
    fail_load("{}: not a GGUF file: it begins with `{}`, expected `{}`", cursor.file(), printable(got),
              kMagic);
  }
  check_version(cursor, cursor.read<uint32_t>());
}

// Makes the tensor's offset absolute.
void place_tensor(GgufTensor& tensor, const std::string& file, size_t data_start, size_t alignment,
                  size_t file_bytes) {
  const std::string name = printable(tensor.name);
  if (tensor.file_offset % alignment != 0) {
    fail_load("{}: tensor `{}` is at offset {}, expected a multiple of {}", file, name, tensor.file_offset,
              alignment);
  }
  const size_t room = file_bytes > data_start ? file_bytes - data_start : 0;
  if (tensor.file_offset > room || tensor.bytes > room - tensor.file_offset) {
    fail_load(
        "{}: truncated or corrupt: tensor `{}` needs {} bytes at offset {} of the data, got {} bytes of data",
        file, name, tensor.bytes, tensor.file_offset, room);
  }
  tensor.file_offset += data_start;
}

void check_disjoint(const std::vector<GgufTensor>& tensors, const std::string& file) {
  std::vector<const GgufTensor*> order;
  for (const GgufTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const GgufTensor* a, const GgufTensor* b) { return a->file_offset < b->file_offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const size_t end = order[i - 1]->file_offset + order[i - 1]->bytes;
    if (order[i]->file_offset < end) {
      fail_load("{}: tensor `{}` begins at byte {}, expected {} or later, the end of tensor `{}`", file,
                printable(order[i]->name), order[i]->file_offset, end, printable(order[i - 1]->name));
    }
  }
}

template <class T>
constexpr std::string_view kind_name();
template <>
constexpr std::string_view kind_name<int64_t>() {
  return "an integer";
}
template <>
constexpr std::string_view kind_name<double>() {
  return "a float";
}
template <>
constexpr std::string_view kind_name<bool>() {
  return "a bool";
}
template <>
constexpr std::string_view kind_name<std::string>() {
  return "a string";
}
template <>
constexpr std::string_view kind_name<std::vector<int64_t>>() {
  return "an array of integers";
}
template <>
constexpr std::string_view kind_name<std::vector<double>>() {
  return "an array of floats";
}
template <>
constexpr std::string_view kind_name<std::vector<bool>>() {
  return "an array of bools";
}
template <>
constexpr std::string_view kind_name<std::vector<std::string>>() {
  return "an array of strings";
}

std::string_view kind_name(const GgufValue& value) {
  return std::visit([]<class T>(const T&) { return kind_name<T>(); }, value);
}

}  // namespace

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  std::shared_ptr<GgufFile> gguf(new GgufFile(MappedFile(path)));
  ByteCursor cursor(path.string(), gguf->file_.bytes());
  check_header(cursor);
  cursor.set_subject("the list of tensors");
  const auto tensor_count = cursor.read<uint64_t>();
  cursor.require(tensor_count, kSmallestTensorInfo);
  cursor.set_subject("the list of keys");
  const auto key_count = cursor.read<uint64_t>();
  cursor.require(key_count, kSmallestKeyValue);
  gguf->read_metadata(cursor, key_count);
  gguf->read_tensors(cursor, tensor_count);
  return gguf;
}

void GgufFile::read_metadata(ByteCursor& cursor, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    cursor.set_subject(fmt::format("the name of key {}", i));
    std::string key(cursor.read_string());
    cursor.set_subject(fmt::format("key `{}`", printable(key)));
    GgufValue value = read_gguf_value(cursor);
    if (!metadata_.emplace(std::move(key), std::move(value)).second) {
      fail_load("{}: {} is there twice, expected once", cursor.file(), cursor.subject());
    }
  }
}

void GgufFile::read_tensors(ByteCursor& cursor, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    tensors_.push_back(read_tensor_info(cursor, i));
    if (!tensor_index_.emplace(tensors_.back().name, i).second) {
      fail_load("{}: {} is there twice, expected once", cursor.file(), cursor.subject());
    }
  }
  const size_t alignment = data_alignment();
  const size_t data_start = (cursor.position() + alignment - 1) / alignment * alignment;
  for (GgufTensor& tensor : tensors_) {
    place_tensor(tensor, cursor.file(), data_start, alignment, file_.bytes().size());
  }
  check_disjoint(tensors_, cursor.file());
}

size_t GgufFile::data_alignment() const {
  const auto* key = find<int64_t>("general.alignment");
  const int64_t alignment = key ? *key : kDefaultAlignment;
  constexpr int64_t kLargest = std::numeric_limits<uint32_t>::max();  // the key's width in the format
  if (alignment < kSmallestAlignment || alignment > kLargest ||
      !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    fail_load("{}: key `general.alignment` is {}, expected a power of two from {} on", path().string(),
              alignment, kSmallestAlignment);
  }
  return static_cast<size_t>(alignment);
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

template <class T>
const T* GgufFile::find(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return nullptr;
  if (const T* value = std::get_if<T>(&found->second)) return value;
  fail_load("{}: key `{}` is {}, expected {}", path().string(), key, kind_name(found->second),
            kind_name<T>());
}

template <class T>
const T& GgufFile::get(std::string_view key) const {
  if (const T* value = find<T>(key)) return *value;
  fail_load("{}: key `{}` is missing, expected {}", path().string(), key, kind_name<T>());
}

#define MUSAIC_GGUF_LOOKUP(...)                                                    \
  template const __VA_ARGS__* GgufFile::find<__VA_ARGS__>(std::string_view) const; \
  template const __VA_ARGS__& GgufFile::get<__VA_ARGS__>(std::string_view) const;
MUSAIC_GGUF_LOOKUP(int64_t)
MUSAIC_GGUF_LOOKUP(double)
MUSAIC_GGUF_LOOKUP(bool)
MUSAIC_GGUF_LOOKUP(std::string)
MUSAIC_GGUF_LOOKUP(std::vector<int64_t>)
MUSAIC_GGUF_LOOKUP(std::vector<double>)
MUSAIC_GGUF_LOOKUP(std::vector<bool>)
MUSAIC_GGUF_LOOKUP(std::vector<std::string>)
#undef MUSAIC_GGUF_LOOKUP

}  // namespace musaic
