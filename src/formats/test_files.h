#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

// For tests only: writes small model files, valid or broken on purpose.
namespace musaic::testing {

// A folder of its own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "musaic_test_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::remove(file);  // a file overwritten in place is flushed to disk by some file systems
    std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return file;
  }

 private:
  std::filesystem::path path_;
};

// Bytes appended one field after the other, little-endian.
class ByteWriter {
 public:
  template <class T>
  ByteWriter& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  ByteWriter& put_bytes(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  ByteWriter& put_string(std::string_view text) { return put<uint64_t>(text.size()).put_bytes(text); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// The type numbers of GGUF's values and of the tensors that tests need.
enum GgufValueType : uint32_t {
  kGgufUint8,
  kGgufInt8,
  kGgufUint16,
  kGgufInt16,
  kGgufUint32,
  kGgufInt32,
  kGgufFloat32,
  kGgufBool,
  kGgufString,
  kGgufArray,
  kGgufUint64,
  kGgufInt64,
  kGgufFloat64,
};
enum GgufTensorType : uint32_t { kGgufF32 = 0, kGgufF16 = 1, kGgufQ4_0 = 2, kGgufQ8_0 = 8, kGgufQ2_K = 10 };

// A GGUF file in memory. Everything can be set wrong.
class GgufBuilder {
 public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the bytes written; put the key to tell the reader
  int64_t tensor_count_error = 0;
  int64_t key_count_error = 0;

  template <class T>
  GgufBuilder& put(std::string_view key, uint32_t type, T value) {
    return put_raw(key, type, ByteWriter().put(value).bytes());
  }
  GgufBuilder& put_u32(std::string_view key, uint32_t value) { return put(key, kGgufUint32, value); }
  GgufBuilder& put_f32(std::string_view key, float value) { return put(key, kGgufFloat32, value); }
  GgufBuilder& put_text(std::string_view key, std::string_view value) {
    return put_raw(key, kGgufString, ByteWriter().put_string(value).bytes());
  }
  GgufBuilder& put_texts(std::string_view key, const std::vector<std::string>& values) {
    ByteWriter writer;
    writer.put<uint32_t>(kGgufString).put<uint64_t>(values.size());
    for (const std::string& value : values) writer.put_string(value);
    return put_raw(key, kGgufArray, writer.bytes());
  }
  template <class T>
  GgufBuilder& put_array(std::string_view key, uint32_t element_type, const std::vector<T>& values) {
    ByteWriter writer;
    writer.put<uint32_t>(element_type).put<uint64_t>(values.size());
    for (const T& value : values) writer.put<T>(value);
    return put_raw(key, kGgufArray, writer.bytes());
  }
  GgufBuilder& put_raw(std::string_view key, uint32_t type, std::string_view value) {
    keys_.put_string(key).put<uint32_t>(type).put_bytes(value);
    ++key_count_;
    return *this;
  }

  // `dims` as in the file: the innermost first. The bytes come next in the data section.
  GgufBuilder& add_tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                          std::string_view bytes) {
    add_tensor_info(name, dims, type, data_.size());
    data_ += bytes;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  GgufBuilder& add_f32(std::string_view name, const std::vector<uint64_t>& dims, float value = 1.0f) {
    uint64_t count = 1;
    for (uint64_t dim : dims) count *= dim;
    ByteWriter writer;
    for (uint64_t i = 0; i < count; ++i) writer.put(value);
    return add_tensor(name, dims, kGgufF32, writer.bytes());
  }
  GgufBuilder& add_tensor_info(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                               uint64_t offset) {
    tensors_.put_string(name).put<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (uint64_t dim : dims) tensors_.put<uint64_t>(dim);
    tensors_.put<uint32_t>(type).put<uint64_t>(offset);
    ++tensor_count_;
    return *this;
  }

  std::string bytes() const {
    ByteWriter writer;
    writer.put_bytes(magic).put<uint32_t>(version);
    writer.put<uint64_t>(static_cast<uint64_t>(tensor_count_ + tensor_count_error));
    writer.put<uint64_t>(static_cast<uint64_t>(key_count_ + key_count_error));
    std::string result = writer.bytes() + keys_.bytes() + tensors_.bytes();
    result.resize((result.size() + alignment - 1) / alignment * alignment);
    return result + data_;
  }

 private:
  ByteWriter keys_, tensors_;
  std::string data_;
  int64_t key_count_ = 0, tensor_count_ = 0;
};

// A safetensors file of this header and data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return ByteWriter().put_string(header).put_bytes(data).bytes();
}

}  // namespace musaic::testing
