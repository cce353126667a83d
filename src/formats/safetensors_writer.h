#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "tensor/shape.h"

namespace musaic {

// A tensor of floats that is written row by row.
struct FloatTensor {
  std::string name;
  Shape shape;
  std::function<void(int64_t row, float* out)> read_row;  // rows: all dimensions but the last
};

// Writes a safetensors file of F32 tensors in the order given. Throws LoadError when the file cannot be
// written.
void write_safetensors(const std::filesystem::path& path, std::span<const FloatTensor> tensors);

}  // namespace musaic
