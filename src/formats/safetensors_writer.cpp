#include "formats/safetensors_writer.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/status.h"
#include "formats/json.h"

namespace musaic {
namespace {

constexpr size_t kAlignment = 64;  // of the first tensor: the header is padded with blanks

std::string header_of(std::span<const FloatTensor> tensors) {
  Json header = Json::object();
  size_t begin = 0;
  for (const FloatTensor& tensor : tensors) {
    const size_t end = begin + static_cast<size_t>(tensor.shape.elements()) * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end())},
                           {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.append((kAlignment - (sizeof(uint64_t) + text.size()) % kAlignment) % kAlignment, ' ');
  return text;
}

void write_rows(std::ofstream& file, const FloatTensor& tensor) {
  const int64_t width = tensor.shape.rank() == 0 ? 1 : tensor.shape[-1];
  const int64_t rows = width == 0 ? 0 : tensor.shape.elements() / width;
  std::vector<float> row(static_cast<size_t>(width));
  for (int64_t i = 0; i < rows; ++i) {
    tensor.read_row(i, row.data());
    file.write(reinterpret_cast<const char*>(row.data()),
               static_cast<std::streamsize>(row.size() * sizeof(float)));
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const FloatTensor> tensors) {
  std::ofstream file(path, std::ios::binary);
  const std::string header = header_of(tensors);
  const uint64_t size = header.size();
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const FloatTensor& tensor : tensors) write_rows(file, tensor);
  file.close();
  if (!file) fail_load("{}: cannot be written: {}", path.string(), std::strerror(errno));
}

}  // namespace musaic
