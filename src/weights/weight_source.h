#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/row_maker.h"
#include "tensor/shape.h"

namespace musaic {

struct RandomValues;

// A tensor as it lies in the mapped file.
struct WeightTensor {
  std::string name;         // Hugging Face's: "model.layers.0.self_attn.q_proj.weight"
  std::string source_name;  // in the file, for messages
  DType dtype = DType::kF32;
  Shape shape;  // row-major: [out, in]
  // nullptr before make_values of a source that makes its values, and where the source has a row_maker
  const std::byte* data = nullptr;
  size_t bytes = 0;
};

// The weights of one model by Hugging Face name, mapped from a GGUF file or safetensors shards.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual const WeightTensor* find(std::string_view name) const = 0;
  virtual std::vector<std::string> names() const = 0;
  // After a tensor was repacked: drop its mapped pages from this process.
  virtual void drop_pages(const WeightTensor& tensor) const = 0;
  // How rows that lie nowhere are made from what the source has; empty: `data` has them. It must not outlive
  // the source.
  virtual RowMaker row_maker(const WeightTensor& /*tensor*/) const { return {}; }
  // How the tensor's values are made, of a source that makes them instead of reading them; nullptr: read.
  virtual const RandomValues* recipe(const WeightTensor& /*tensor*/) const { return nullptr; }
  // Such a source makes all values now, in parallel, if it has not yet.
  virtual void make_values() const {}
  // The file or folder, for messages.
  virtual std::string origin() const { return "the weights"; }
  // What a tensor of that Hugging Face name is or would be called in the file, for messages.
  virtual std::string name_in_file(std::string_view name) const { return std::string(name); }
};

// The tensor of that name and shape. Throws LoadError with the origin, the tensor, expected and got, or when
// it is missing: with the name that comes nearest.
const WeightTensor& require_weight(const WeightSource& source, std::string_view name, const Shape& expected);

}  // namespace musaic
