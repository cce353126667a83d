#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/mapped_file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace musaic {

struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;             // row-major
  size_t file_offset = 0;  // from the start of the file; not always a multiple of the element's size
  size_t bytes = 0;
};

// A safetensors file, mapped read-only. Immutable once open; tensors' bytes live as long as the file object.
class SafetensorsFile {
 public:
  // Throws LoadError: one sentence with the file, the tensor that is wrong, expected and got.
  static std::unique_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // in the order of their bytes
  const SafetensorsTensor* find_tensor(std::string_view name) const;
  const std::byte* data(const SafetensorsTensor& tensor) const {
    return file_.bytes().data() + tensor.file_offset;
  }
  const MappedFile& file() const { return file_; }

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
};

}  // namespace musaic
