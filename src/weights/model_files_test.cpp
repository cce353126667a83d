#include "weights/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace musaic {
namespace {

using ::testing::ElementsAre;

const std::string kTiny = MUSAIC_TEST_DATA "/tiny/";

TEST(OpenModel, ReadsTheTinyLlama) {
  const ModelFiles model = open_model(kTiny + "llama");
  EXPECT_EQ(model.format, ModelFormat::kSafetensors);
  const ModelConfig& config = model.config;
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_THAT(config.architectures, ElementsAre("LlamaForCausalLM"));
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.hidden_size, 256);
  EXPECT_EQ(config.intermediate_size, 512);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.num_attention_heads, 8);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 500000.0);
  ASSERT_TRUE(config.rope_scaling);
  EXPECT_EQ(config.rope_scaling->type, "llama3");
  EXPECT_EQ(config.rope_scaling->factor, 8.0);
  EXPECT_EQ(config.rope_scaling->low_freq_factor, 1.0);
  EXPECT_EQ(config.rope_scaling->high_freq_factor, 4.0);
  EXPECT_EQ(config.rope_scaling->original_max_position_embeddings, 256);
  EXPECT_FALSE(config.rope_interleaved);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(1));
  EXPECT_EQ(config.bos_token_id, 0);
  const WeightTensor& k = require_weight(*model.weights, "model.layers.1.self_attn.k_proj.weight", {64, 256});
  EXPECT_EQ(k.dtype, DType::kBF16);
  EXPECT_EQ(k.bytes, 64u * 256 * 2);
  require_weight(*model.weights, "lm_head.weight", {512, 256});
}

TEST(OpenModel, ReadsTheTinyQwen2) {
  const ModelFiles model = open_model(kTiny + "qwen2");
  EXPECT_EQ(model.config.model_type, "qwen2");
  EXPECT_EQ(model.config.head_dim, 64);
  EXPECT_EQ(model.config.rope_theta, 1000000.0);
  EXPECT_FALSE(model.config.rope_scaling);
  EXPECT_TRUE(model.config.tie_word_embeddings);
  EXPECT_TRUE(model.config.attention_bias);
  EXPECT_FALSE(model.config.attention_output_bias);
  require_weight(*model.weights, "model.layers.0.self_attn.q_proj.bias", {256});
}

TEST(OpenModel, ReadsTheTinyQwen3) {
  const ModelFiles model = open_model(kTiny + "qwen3");
  EXPECT_EQ(model.config.model_type, "qwen3");
  EXPECT_EQ(model.config.head_dim, 128);
  EXPECT_TRUE(model.config.tie_word_embeddings);
  EXPECT_FALSE(model.config.attention_bias);
  require_weight(*model.weights, "model.layers.0.self_attn.q_norm.weight", {128});
  require_weight(*model.weights, "model.layers.0.self_attn.q_proj.weight", {512, 256});
}

TEST(OpenModel, ReadsTheDefaultModel) {
  const char* path = std::getenv("MUSAIC_DEFAULT_MODEL");
  if (path == nullptr) GTEST_SKIP() << "MUSAIC_DEFAULT_MODEL is not set";
  const ModelFiles model = open_model(path);
  EXPECT_EQ(model.format, ModelFormat::kGguf);
  const ModelConfig& config = model.config;
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.dtype, "q4_1");
  EXPECT_EQ(config.vocab_size, 49152);
  EXPECT_EQ(config.hidden_size, 576);
  EXPECT_EQ(config.intermediate_size, 1536);
  EXPECT_EQ(config.num_hidden_layers, 30);
  EXPECT_EQ(config.num_attention_heads, 9);
  EXPECT_EQ(config.num_key_value_heads, 3);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.max_position_embeddings, 8192);
  EXPECT_NEAR(config.rms_norm_eps, 1e-5, 1e-11);
  EXPECT_EQ(config.rope_theta, 100000.0);
  EXPECT_TRUE(config.rope_interleaved);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 0));
  require_weight(*model.weights, "model.layers.29.mlp.down_proj.weight", {576, 1536});
  require_weight(*model.weights, "model.norm.weight", {576});
}

}  // namespace
}  // namespace musaic
