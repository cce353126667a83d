#include "weights/random_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "tensor/dequantize.h"
#include "tensor/random_values.h"
#include "weights/model_files.h"
#include "weights/weight_shapes.h"

namespace musaic {
namespace {

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};

Moments moments_of(const WeightTensor& tensor) {
  const int64_t count = tensor.shape.elements();
  std::vector<float> values(static_cast<size_t>(count));
  dequantize_row(tensor.dtype, tensor.data, values.data(), count);
  Moments moments;
  double squares = 0;
  for (float value : values) {
    moments.mean += value / static_cast<double>(count);
    squares += static_cast<double>(value) * value / static_cast<double>(count);
    moments.largest = std::max(moments.largest, std::abs(static_cast<double>(value)));
  }
  moments.deviation = std::sqrt(squares - moments.mean * moments.mean);
  return moments;
}

std::unique_ptr<WeightSource> made_weights(const ModelConfig& config, DType dtype, uint64_t seed) {
  auto weights = make_random_weights(config, dtype, seed);
  weights->make_values();
  return weights;
}

TEST(RandomWeights, HaveTheScaleThatKeepsActivationsAlive) {
  const ModelConfig config = open_model(MUSAIC_TEST_DATA "/tiny/qwen2").config;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const auto weights = made_weights(config, dtype, 1);
    const Moments matrix =
        moments_of(require_weight(*weights, "model.layers.1.mlp.gate_proj.weight", {384, 256}));
    EXPECT_NEAR(matrix.mean, 0, 0.001);  // 98,304 values of deviation 1/16
    EXPECT_NEAR(matrix.deviation, 1.0 / 16, 0.001);
    EXPECT_LT(matrix.largest, 4.0 / 16);
    EXPECT_NEAR(moments_of(require_weight(*weights, "model.norm.weight", {256})).mean, 1, 0.05);
    EXPECT_NEAR(moments_of(require_weight(*weights, "model.layers.0.self_attn.q_proj.bias", {256})).mean, 0,
                0.05);
  }
}

TEST(RandomWeights, DependOnSeedAndNameOnly) {
  ModelConfig config = open_model(MUSAIC_TEST_DATA "/tiny/llama").config;
  const Shape shape{256, 256};
  const auto first = made_weights(config, DType::kBF16, 7);
  const auto other_seed = made_weights(config, DType::kBF16, 8);
  config.num_hidden_layers = 1;
  const auto shorter = made_weights(config, DType::kBF16, 7);
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const WeightTensor& tensor = require_weight(*first, name, shape);
  EXPECT_EQ(std::memcmp(tensor.data, require_weight(*shorter, name, shape).data, tensor.bytes), 0);
  EXPECT_NE(std::memcmp(tensor.data, require_weight(*other_seed, name, shape).data, tensor.bytes), 0);
  const WeightTensor& o_proj = require_weight(*first, "model.layers.0.self_attn.o_proj.weight", shape);
  EXPECT_NE(std::memcmp(tensor.data, o_proj.data, tensor.bytes), 0);
}

TEST(RandomWeights, InFp8HaveTheSameScaleOnceTheyAreScaled) {
  const ModelConfig config = open_model(MUSAIC_TEST_DATA "/tiny/deepseek_v2_fp8").config;
  const auto weights = made_weights(config, DType::kBF16, 1);
  const std::string module = "model.layers.1.mlp.experts.3.down_proj";
  const WeightTensor& matrix = require_weight(*weights, module + ".weight", {256, 192});
  const WeightTensor& scales = require_weight(*weights, module + ".weight_scale_inv", {2, 2});
  EXPECT_EQ(matrix.dtype, DType::kF8E4M3);
  ASSERT_EQ(scales.dtype, DType::kF32);
  const Moments moments = moments_of(matrix), scale = moments_of(scales);
  EXPECT_NEAR(moments.deviation * scale.mean, 1 / std::sqrt(192.0), 0.002);
  EXPECT_NEAR(scale.deviation, 0, 1e-9);
  EXPECT_EQ(require_weight(*weights, "model.layers.1.mlp.gate.weight", {8, 256}).dtype, DType::kBF16);
}

TEST(RandomWeights, AreMadeAsTheirRecipesSay) {
  const ModelConfig config = open_model(MUSAIC_TEST_DATA "/tiny/deepseek_v2_fp8").config;
  const auto weights = make_random_weights(config, DType::kBF16, 3);
  EXPECT_EQ(weights->find("lm_head.weight")->data, nullptr) << "nobody has asked for values yet";
  weights->make_values();
  for (const std::string& name : weights->names()) {
    const WeightTensor& tensor = *weights->find(name);
    std::vector<std::byte> expected(tensor.bytes);
    weights->recipe(tensor)->fill(tensor.dtype, 0, tensor.shape.elements(), expected.data());
    EXPECT_EQ(std::memcmp(tensor.data, expected.data(), tensor.bytes), 0) << name;
  }
}

TEST(WeightShapes, OfTheFullSizeKeepTheModulesThatAreNotConverted) {
  const ModelConfig config = open_model(MUSAIC_TEST_DATA "/deepseek_v2_lite_fp8_config.json").config;
  std::map<std::string, WeightStorage> storage;
  for (const WeightShape& weight : list_weight_shapes(config)) storage[weight.name] = weight.storage;
  EXPECT_EQ(storage.at("model.layers.0.mlp.up_proj.weight"), WeightStorage::kPlain);
  EXPECT_EQ(storage.at("model.layers.0.self_attn.q_proj.weight"), WeightStorage::kFp8);
  EXPECT_EQ(storage.at("model.layers.26.mlp.experts.63.up_proj.weight"), WeightStorage::kFp8);
  EXPECT_EQ(storage.at("model.layers.1.mlp.shared_experts.up_proj.weight_scale_inv"),
            WeightStorage::kFp8Scale);
  EXPECT_EQ(storage.at("model.layers.1.mlp.gate.weight"), WeightStorage::kPlain);
  EXPECT_EQ(storage.at("lm_head.weight"), WeightStorage::kPlain);
  EXPECT_EQ(fp8_scale_shape({576, 10944}), (Shape{5, 86}));
}

TEST(WeightShapes, AreThoseOfTheTinyCheckpoints) {
  for (const char* model_name :
       {"llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v2_fp8", "deepseek_v2_grouped"}) {
    const ModelFiles model = open_model(std::string(MUSAIC_TEST_DATA "/tiny/") + model_name);
    const auto shapes = list_weight_shapes(model.config);
    EXPECT_EQ(shapes.size(), model.weights->names().size()) << model_name;
    for (const WeightShape& weight : shapes) require_weight(*model.weights, weight.name, weight.shape);
  }
}

}  // namespace
}  // namespace musaic
