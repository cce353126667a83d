#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "formats/byte_cursor.h"

namespace musaic {
namespace {

using Json = nlohmann::json;  // sorted: the ordered one takes time quadratic in the number of tensors

constexpr size_t kMaxHeaderBytes = 100'000'000;  // the format's
constexpr std::string_view kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, DType>, 10> kDTypes = {{
    {"F32", DType::kF32},
    {"F16", DType::kF16},
    {"BF16", DType::kBF16},
    {"F8_E4M3", DType::kF8E4M3},
    {"I64", DType::kI64},
    {"I32", DType::kI32},
    {"I16", DType::kI16},
    {"I8", DType::kI8},
    {"U8", DType::kU8},
    {"BOOL", DType::kBool},
}};

// What a message about a tensor begins with.
std::string place(const std::string& file, std::string_view tensor) {
  return fmt::format("{}: tensor `{}`", file, printable(tensor));
}

// Parses the header, refusing a name that is there twice: the parser alone would drop one of them.
Json parse_header(const std::string& file, std::string_view text) {
  std::set<std::string> names;
  const auto refuse_duplicates = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool is_name = event == Json::parse_event_t::key && depth == 1;
    if (is_name && !names.insert(parsed.get<std::string>()).second) {
      fail_load("{} is there twice, expected once", place(file, parsed.get<std::string>()));
    }
    return true;
  };
  try {
    return Json::parse(text, refuse_duplicates);
  } catch (const Json::exception&) {
    fail_load("{}: corrupt: expected a JSON header of {} bytes, got `{}`", file, text.size(),
              printable(text.substr(0, 40)));
  }
}

Json read_header(const std::string& file, std::span<const std::byte> bytes) {
  uint64_t size = 0;
  if (bytes.size() < sizeof(size)) {
    fail_load("{}: not a safetensors file: {} bytes long, expected at least {}", file, bytes.size(),
              sizeof(size));
  }
  std::memcpy(&size, bytes.data(), sizeof(size));
  if (size > kMaxHeaderBytes) {
    fail_load("{}: not a safetensors file, or corrupt: a header of {} bytes, expected at most {}", file, size,
              kMaxHeaderBytes);
  }
  if (size > bytes.size() - sizeof(size)) {
    fail_load("{}: truncated: a header of {} bytes, got {} bytes after its length", file, size,
              bytes.size() - sizeof(size));
  }
  Json header = parse_header(file, {reinterpret_cast<const char*>(bytes.data()) + sizeof(size), size});
  if (!header.is_object())
    fail_load("{}: corrupt: the header is {}, expected an object", file, header.type_name());
  return header;
}

const Json& member(const std::string& tensor_place, const Json& entry, const char* key) {
  if (!entry.is_object()) fail_load("{} is {}, expected an object", tensor_place, entry.type_name());
  const auto found = entry.find(key);
  if (found == entry.end()) fail_load("{} has no `{}`", tensor_place, key);
  return *found;
}

DType read_dtype(const std::string& tensor_place, const Json& value) {
  const std::string got = value.is_string() ? value.get<std::string>() : std::string(value.type_name());
  for (const auto& [text, dtype] : kDTypes) {
    if (got == text) return dtype;
  }
  fail_load("{} has dtype {}, expected F32, F16, BF16, F8_E4M3, I64, I32, I16, I8, U8 or BOOL", tensor_place,
            printable(got));
}

// An array of at most `max_count` numbers that are not negative.
std::vector<int64_t> read_numbers(const std::string& tensor_place, const Json& value, const char* key,
                                  size_t max_count) {
  const auto is_size = [](const Json& number) {
    return number.is_number_unsigned() &&
           number.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  };
  if (!value.is_array() || value.size() > max_count || !std::all_of(value.begin(), value.end(), is_size)) {
    fail_load("{} has a wrong `{}`, expected an array of at most {} numbers from 0 on", tensor_place, key,
              max_count);
  }
  return value.get<std::vector<int64_t>>();
}

// nullopt when the bytes of such a tensor cannot be counted in 63 bits.
std::optional<size_t> count_bytes(DType dtype, const std::vector<int64_t>& dims) {
  int64_t bytes = dtype_info(dtype).block_bytes;
  for (int64_t dim : dims) {
    if (dim != 0 && bytes > std::numeric_limits<int64_t>::max() / dim) return std::nullopt;
    bytes *= dim;
  }
  return static_cast<size_t>(bytes);
}

SafetensorsTensor read_entry(const std::string& file, const std::string& name, const Json& entry,
                             size_t data_start, size_t data_bytes) {
  const std::string where = place(file, name);
  const DType dtype = read_dtype(where, member(where, entry, "dtype"));
  const auto dims = read_numbers(where, member(where, entry, "shape"), "shape", Shape::kMaxRank);
  const auto offsets = read_numbers(where, member(where, entry, "data_offsets"), "data_offsets", 2);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail_load("{} has wrong `data_offsets`, expected begin and end", where);
  }
  const auto begin = static_cast<size_t>(offsets[0]), end = static_cast<size_t>(offsets[1]);
  if (end > data_bytes) {
    fail_load("{} ends at byte {} of the data, got {} bytes of data: truncated or corrupt", where, end,
              data_bytes);
  }
  const auto bytes = count_bytes(dtype, dims);
  if (bytes != end - begin) {
    fail_load("{} of {} {} lies in {} bytes, expected {}", where, musaic::name(dtype), to_string(Shape(dims)),
              end - begin, bytes ? std::to_string(*bytes) : "fewer dimensions");
  }
  return {
      .name = name, .dtype = dtype, .shape = Shape(dims), .file_offset = data_start + begin, .bytes = *bytes};
}

// The format demands that the tensors fill the data without holes or overlaps. `tensors` are in their order.
void check_contiguous(const std::string& file, const std::vector<SafetensorsTensor>& tensors,
                      size_t data_start, size_t file_bytes) {
  size_t expected = data_start;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.file_offset != expected) {
      fail_load("{} begins at byte {}, expected {}, the end of the tensor before it",
                place(file, tensor.name), tensor.file_offset, expected);
    }
    expected += tensor.bytes;
  }
  if (expected != file_bytes) {
    fail_load("{}: corrupt: {} bytes long, expected {} by its header", file, file_bytes, expected);
  }
}

}  // namespace

std::unique_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  std::unique_ptr<SafetensorsFile> result(new SafetensorsFile(MappedFile(path)));
  const std::string file = path.string();
  const auto bytes = result->file_.bytes();
  const Json header = read_header(file, bytes);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const size_t data_start = sizeof(header_bytes) + header_bytes;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey) continue;
    result->tensors_.push_back(read_entry(file, name, entry, data_start, bytes.size() - data_start));
  }
  std::sort(result->tensors_.begin(), result->tensors_.end(),
            [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
              return std::pair(a.file_offset, a.bytes) < std::pair(b.file_offset, b.bytes);
            });
  check_contiguous(file, result->tensors_, data_start, bytes.size());
  for (size_t i = 0; i < result->tensors_.size(); ++i)
    result->tensor_index_.emplace(result->tensors_[i].name, i);
  return result;
}

const SafetensorsTensor* SafetensorsFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace musaic
