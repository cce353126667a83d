#include "weights/quantized_weights.h"

#include <map>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "weights/fp8_quantizer.h"
#include "weights/weight_shapes.h"

namespace musaic {
namespace {

constexpr std::string_view kScaleSuffix = "_scale_inv";  // behind the weight's name

class QuantizedWeights : public WeightSource {
 public:
  QuantizedWeights(std::unique_ptr<WeightSource> source, const ModelConfig& config)
      : source_(std::move(source)) {
    for (const WeightShape& weight : list_weight_shapes(config)) {
      if (weight.storage == WeightStorage::kFp8) add(weight);
    }
  }

  const WeightTensor* find(std::string_view name) const override {
    const auto found = made_.find(name);
    return found == made_.end() ? source_->find(name) : &found->second.tensor;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto& [name, made] : made_) result.push_back(name);
    for (const std::string& name : source_->names()) {
      if (!made_.contains(name)) result.push_back(name);
    }
    return result;
  }
  void drop_pages(const WeightTensor& tensor) const override {
    const auto found = made_.find(tensor.name);
    source_->drop_pages(found == made_.end() ? tensor : *found->second.original);
  }
  RowMaker row_maker(const WeightTensor& tensor) const override {
    const auto found = made_.find(tensor.name);
    if (found == made_.end()) return {};
    const WeightTensor& original = *found->second.original;
    if (tensor.dtype == DType::kF8E4M3)
      return [&original](int64_t begin, int64_t end, std::byte* to) {
        quantize_fp8_rows(original, begin, end, to);
      };
    return [&original](int64_t begin, int64_t end, std::byte* to) {
      quantize_fp8_scales(original, begin, end, reinterpret_cast<float*>(to));
    };
  }
  std::string origin() const override { return source_->origin(); }
  std::string name_in_file(std::string_view name) const override { return source_->name_in_file(name); }

 private:
  struct Made {
    WeightTensor tensor;
    const WeightTensor* original;  // the linear's weight in the source
  };

  // One that is missing, or of another shape, is found out when the model asks for it.
  void add(const WeightShape& weight) {
    const WeightTensor* original = source_->find(weight.name);
    if (original == nullptr || !(original->shape == weight.shape)) return;
    const DType dtype = original->dtype;
    if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16)
      fail_load(
          "{}: tensor `{}` is {}, expected f32, f16 or bf16, which can be quantized (--quantization fp8)",
          origin(), original->source_name, name(dtype));
    add(weight.name, DType::kF8E4M3, weight.shape, *original);
    add(weight.name + std::string(kScaleSuffix), DType::kF32, fp8_scale_shape(weight.shape), *original);
  }

  void add(const std::string& name, DType dtype, const Shape& shape, const WeightTensor& original) {
    const WeightTensor tensor{.name = name,
                              .source_name = original.source_name,
                              .dtype = dtype,
                              .shape = shape,
                              .bytes = byte_size(dtype, shape.elements())};
    made_.emplace(name, Made{tensor, &original});
  }

  std::unique_ptr<WeightSource> source_;
  std::map<std::string, Made, std::less<>> made_;
};

}  // namespace

std::unique_ptr<WeightSource> quantize_weights(std::unique_ptr<WeightSource> source,
                                               const ModelConfig& config) {
  CHECK(config.fp8.has_value());
  return std::make_unique<QuantizedWeights>(std::move(source), config);
}

}  // namespace musaic
