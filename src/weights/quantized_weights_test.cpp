#include "weights/quantized_weights.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "base/status.h"
#include "tensor/half.h"
#include "weights/fp8_quantizer.h"
#include "weights/weight_shapes.h"

namespace musaic {
namespace {

using testing::Contains;
using testing::HasSubstr;

// A weight with blocks of very different sizes, one of them of zeros.
struct Matrix {
  Matrix(DType dtype, int64_t rows, int64_t columns) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    tensor = {.name = "w", .source_name = "w", .dtype = dtype, .shape = {rows, columns}};
    tensor.bytes = byte_size(dtype, rows * columns);
    bytes.resize(tensor.bytes);
    for (int64_t i = 0; i < rows * columns; ++i) {
      const int64_t block = i / columns / 128 + i % columns / 128;
      values.push_back(store(i, block == 0 ? 0.0f : normal(random) * std::pow(10.0f, 1.0f - 2.0f * block)));
    }
    tensor.data = bytes.data();
  }

  // As it comes back.
  float store(int64_t index, float value) {
    if (tensor.dtype == DType::kF32) {
      std::memcpy(bytes.data() + index * 4, &value, 4);
      return value;
    }
    const bool is_f16 = tensor.dtype == DType::kF16;
    const uint16_t half = is_f16 ? float_to_f16(value) : float_to_bf16(value);
    std::memcpy(bytes.data() + index * 2, &half, 2);
    return is_f16 ? f16_to_float(half) : bf16_to_float(half);
  }

  WeightTensor tensor;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

// The definition, block by block.
void quantize(const Matrix& matrix, std::vector<uint8_t>& quantized, std::vector<float>& scales) {
  const int64_t rows = matrix.tensor.shape[0], columns = matrix.tensor.shape[1];
  quantized.resize(static_cast<size_t>(rows * columns));
  for (int64_t y = 0; y < rows; y += 128) {
    for (int64_t x = 0; x < columns; x += 128) {
      const auto each = [&](const auto& visit) {
        for (int64_t r = y; r < std::min(y + 128, rows); ++r) {
          for (int64_t c = x; c < std::min(x + 128, columns); ++c)
            visit(static_cast<size_t>(r * columns + c));
        }
      };
      float largest = 1e-10f;
      each([&](size_t i) { largest = std::max(largest, std::abs(matrix.values[i])); });
      scales.push_back(largest / 448.0f);
      each([&](size_t i) { quantized[i] = float_to_f8e4m3(matrix.values[i] / scales.back()); });
    }
  }
}

TEST(Fp8Quantizer, FollowsTheDefinitionInRaggedBlocksForAnyRows) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Matrix matrix(dtype, 300, 203);
    std::vector<uint8_t> expected;
    std::vector<float> scales;
    quantize(matrix, expected, scales);
    for (const auto& [begin, end] : {std::pair{0, 300}, {0, 128}, {128, 300}, {77, 78}, {100, 270}}) {
      std::vector<uint8_t> got(static_cast<size_t>(end - begin) * 203);
      quantize_fp8_rows(matrix.tensor, begin, end, reinterpret_cast<std::byte*>(got.data()));
      EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin() + begin * 203))
          << name(dtype) << ", rows " << begin << " to " << end;
    }
    std::vector<float> got(6), last(2);
    quantize_fp8_scales(matrix.tensor, 0, 3, got.data());
    EXPECT_EQ(got, scales) << name(dtype);
    quantize_fp8_scales(matrix.tensor, 2, 3, last.data());
    EXPECT_EQ(last, std::vector<float>(scales.begin() + 4, scales.end()));
  }
}

TEST(Fp8Quantizer, AValueIsWithinASixteenthOfItself) {
  const Matrix matrix(DType::kBF16, 256, 256);
  std::vector<uint8_t> quantized(256 * 256);
  std::vector<float> scales(4);
  quantize_fp8_rows(matrix.tensor, 0, 256, reinterpret_cast<std::byte*>(quantized.data()));
  quantize_fp8_scales(matrix.tensor, 0, 2, scales.data());
  for (size_t i = 0; i < quantized.size(); ++i) {
    const float scale = scales[i / 256 / 128 * 2 + i % 256 / 128];
    const float smallest_step = scale * 0x1p-9f;
    ASSERT_NEAR(f8e4m3_to_float(quantized[i]) * scale, matrix.values[i],
                std::abs(matrix.values[i]) / 16 + smallest_step);
  }
}

ModelConfig tiny_config() {
  ModelConfig config;
  config.model_type = "llama";
  config.vocab_size = 32;
  config.hidden_size = 160;
  config.intermediate_size = 200;
  config.num_hidden_layers = 1;
  config.num_attention_heads = config.num_key_value_heads = 2;
  config.head_dim = 80;
  return config;
}

// The weights of a configuration in memory.
class MemoryWeights : public WeightSource {
 public:
  MemoryWeights(const ModelConfig& config, DType dtype) {
    for (const WeightShape& weight : list_weight_shapes(config)) {
      const int64_t count = weight.shape.elements();
      auto& bytes = memory_[weight.name];
      bytes.resize(byte_size(dtype, count));
      tensors_[weight.name] = {.name = weight.name,
                               .source_name = "file." + weight.name,
                               .dtype = dtype,
                               .shape = weight.shape,
                               .data = bytes.data(),
                               .bytes = bytes.size()};
    }
  }
  const WeightTensor* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    return names;
  }
  void drop_pages(const WeightTensor& tensor) const override { dropped.push_back(tensor.name); }

  mutable std::vector<std::string> dropped;

 private:
  std::map<std::string, std::vector<std::byte>> memory_;
  std::map<std::string, WeightTensor, std::less<>> tensors_;
};

TEST(QuantizedWeights, HaveLinearsInFp8WithScalesAndLeaveTheRestAsItIs) {
  ModelConfig config = tiny_config();
  auto memory = std::make_unique<MemoryWeights>(config, DType::kBF16);
  const MemoryWeights& source = *memory;
  config.fp8.emplace();
  const auto weights = quantize_weights(std::move(memory), config);
  const std::string down = "model.layers.0.mlp.down_proj.weight";
  const WeightTensor& linear = *weights->find(down);
  EXPECT_EQ(linear.dtype, DType::kF8E4M3);
  EXPECT_EQ(linear.shape, (Shape{160, 200}));
  EXPECT_EQ(linear.bytes, 160u * 200);
  EXPECT_TRUE(weights->row_maker(linear));
  const WeightTensor& scale = *weights->find(down + "_scale_inv");
  EXPECT_EQ(scale.shape, (Shape{2, 2}));
  std::vector<float> scales(4, -1.0f);
  weights->row_maker(scale)(0, 2, reinterpret_cast<std::byte*>(scales.data()));
  EXPECT_EQ(scales, std::vector<float>(4, 1e-10f / 448.0f));
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"}) {
    EXPECT_EQ(weights->find(name), source.find(name));
    EXPECT_FALSE(weights->row_maker(*weights->find(name)));
  }
  EXPECT_THAT(weights->names(), Contains(down + "_scale_inv").Times(1));
  EXPECT_THAT(weights->names(), Contains(down).Times(1));
  weights->drop_pages(scale);
  weights->drop_pages(linear);
  weights->drop_pages(*weights->find("model.norm.weight"));
  EXPECT_EQ(source.dropped, (std::vector<std::string>{down, down, "model.norm.weight"}));
}

TEST(QuantizedWeights, RefuseWhatIsQuantizedAlready) {
  ModelConfig config = tiny_config();
  auto memory = std::make_unique<MemoryWeights>(config, DType::kQ8_0);
  config.fp8.emplace();
  try {
    quantize_weights(std::move(memory), config);
    FAIL() << "accepted";
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("is q8_0, expected f32, f16 or bf16"));
  }
}

}  // namespace
}  // namespace musaic
