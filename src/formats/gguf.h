#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/mapped_file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace musaic {

class ByteCursor;

// One metadata value. Integers of every width are int64_t, both floats double, arrays homogeneous.
using GgufValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;             // row-major: [out, in], the reverse of the file's order
  size_t file_offset = 0;  // from the start of the file
  size_t bytes = 0;
};

// A GGUF v3 file, mapped read-only. Immutable once open; tensors' bytes live as long as the file object.
class GgufFile {
 public:
  // Throws LoadError: one sentence with the file, and the key or tensor that is wrong, expected and got.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;
  const std::byte* data(const GgufTensor& tensor) const { return file_.bytes().data() + tensor.file_offset; }
  const MappedFile& file() const { return file_; }

  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  // nullptr when the key is absent; throws LoadError when its type is another.
  template <class T>
  const T* find(std::string_view key) const;
  // Throws LoadError naming the key when it is absent.
  template <class T>
  const T& get(std::string_view key) const;

 private:
  explicit GgufFile(MappedFile file) : file_(std::move(file)) {}
  void read_metadata(ByteCursor& cursor, uint64_t count);
  void read_tensors(ByteCursor& cursor, uint64_t count);
  size_t data_alignment() const;

  MappedFile file_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
};

}  // namespace musaic
