// The configuration and the names of GGUF files, over files that the test writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "formats/test_files.h"
#include "weights/gguf_weights.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;

GgufBuilder keys_of(const std::string& architecture) {
  GgufBuilder gguf;
  gguf.put_text("general.architecture", architecture);
  gguf.put_u32(architecture + ".block_count", 1).put_u32(architecture + ".context_length", 128);
  gguf.put_u32(architecture + ".embedding_length", 8).put_u32(architecture + ".feed_forward_length", 16);
  gguf.put_u32(architecture + ".attention.head_count", 2);
  return gguf;
}

GgufBuilder small_model(const std::string& architecture) {
  GgufBuilder gguf = keys_of(architecture);
  gguf.put_f32(architecture + ".attention.layer_norm_rms_epsilon", 0.5f);
  gguf.add_f32("token_embd.weight", {8, 4}).add_f32("blk.0.attn_q.weight", {8, 8});
  return gguf;
}

ModelFiles open_builder(const GgufBuilder& builder) {
  const testing::TemporaryFolder folder;
  return open_model(folder.write("model.gguf", builder.bytes()).string());
}

std::string error_of(const GgufBuilder& builder) {
  try {
    open_builder(builder);
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.gguf"));
    return error.what();
  }
  return "it opened";
}

TEST(GgufModel, ReadsTheConfigurationOfALlama) {
  GgufBuilder builder = small_model("llama");
  builder.put_u32("llama.attention.head_count_kv", 1).put_f32("llama.rope.freq_base", 500.0f);
  const ModelFiles model = open_builder(builder);
  const ModelConfig& config = model.config;
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_THAT(config.architectures, ElementsAre("LlamaForCausalLM"));
  EXPECT_EQ(config.dtype, "float32");
  EXPECT_EQ(config.vocab_size, 4);
  EXPECT_EQ(config.hidden_size, 8);
  EXPECT_EQ(config.intermediate_size, 16);
  EXPECT_EQ(config.num_hidden_layers, 1);
  EXPECT_EQ(config.num_attention_heads, 2);
  EXPECT_EQ(config.num_key_value_heads, 1);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.max_position_embeddings, 128);
  EXPECT_EQ(config.rms_norm_eps, 0.5);
  EXPECT_EQ(config.rope_theta, 500.0);
  EXPECT_TRUE(config.rope_interleaved);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_FALSE(config.attention_bias);
}

TEST(GgufModel, QwensRotateHalvesAndHaveTheirExtras) {
  const ModelFiles qwen2 = open_builder(small_model("qwen2").add_f32("output.weight", {8, 4}));
  EXPECT_FALSE(qwen2.config.rope_interleaved);
  EXPECT_TRUE(qwen2.config.attention_bias);
  EXPECT_FALSE(qwen2.config.tie_word_embeddings);
  const ModelFiles qwen3 = open_builder(small_model("qwen3")
                                            .put_u32("qwen3.attention.key_length", 6)
                                            .put_u32("qwen3.attention.value_length", 6));
  EXPECT_FALSE(qwen3.config.rope_interleaved);
  EXPECT_FALSE(qwen3.config.attention_bias);
  EXPECT_EQ(qwen3.config.head_dim, 6);
}

TEST(GgufModel, TheRopeTensorBecomesFactors) {
  const ModelFiles model = open_builder(small_model("llama").add_f32("rope_freqs.weight", {2}, 8.0f));
  EXPECT_THAT(model.config.rope_frequency_factors, ElementsAre(8.0f, 8.0f));
  EXPECT_NE(model.weights->find("rope_freqs.weight"), nullptr);
  EXPECT_THAT(error_of(small_model("llama").add_f32("rope_freqs.weight", {3})),
              HasSubstr("tensor `rope_freqs.weight` is f32 [3], expected f32 [2]"));
  EXPECT_THAT(error_of(small_model("llama").add_f32("rope_freqs.weight", {2}, 0.0f)),
              HasSubstr("`rope_freqs.weight` has the value 0"));
}

TEST(GgufModel, RopeScalingKeysAreRead) {
  GgufBuilder builder = small_model("qwen2");
  builder.put_text("qwen2.rope.scaling.type", "yarn").put_f32("qwen2.rope.scaling.factor", 4.0f);
  builder.put_u32("qwen2.rope.scaling.original_context_length", 32);
  const ModelFiles model = open_builder(builder);
  ASSERT_TRUE(model.config.rope_scaling);
  EXPECT_EQ(model.config.rope_scaling->type, "yarn");
  EXPECT_EQ(model.config.rope_scaling->factor, 4.0);
  EXPECT_EQ(model.config.rope_scaling->original_max_position_embeddings, 32);
  EXPECT_THAT(error_of(small_model("llama").put_text("llama.rope.scaling.type", "longrope")),
              HasSubstr("key `llama.rope.scaling.type` is `longrope`, supported are none, linear and yarn"));
}

TEST(GgufModel, EndTokensComeFromIdsAndControlTokensByName) {
  GgufBuilder builder = small_model("llama");
  builder.put_u32("tokenizer.ggml.eos_token_id", 2).put_u32("tokenizer.ggml.eot_token_id", 1);
  builder.put_u32("tokenizer.ggml.bos_token_id", 9);
  builder.put_texts("tokenizer.ggml.tokens", {"<|endoftext|>", "<|im_end|>", "</s>", "<|eot_id|>"});
  builder.put_array<int32_t>("tokenizer.ggml.token_type", testing::kGgufInt32, {3, 3, 3, 1});
  const ModelFiles model = open_builder(builder);
  EXPECT_THAT(model.config.eos_token_ids, ElementsAre(2, 1, 0));  // the last is an ordinary token
  EXPECT_FALSE(model.config.bos_token_id);                        // 9 is beyond the vocabulary
}

TEST(GgufModel, TensorsHaveHuggingFaceNames) {
  EXPECT_EQ(hf_weight_name("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(hf_weight_name("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(hf_weight_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(hf_weight_name("blk.0.attn_norm.weight"), "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(hf_weight_name("blk.12.attn_q.weight"), "model.layers.12.self_attn.q_proj.weight");
  EXPECT_EQ(hf_weight_name("blk.12.attn_k.bias"), "model.layers.12.self_attn.k_proj.bias");
  EXPECT_EQ(hf_weight_name("blk.1.attn_v.weight"), "model.layers.1.self_attn.v_proj.weight");
  EXPECT_EQ(hf_weight_name("blk.1.attn_output.weight"), "model.layers.1.self_attn.o_proj.weight");
  EXPECT_EQ(hf_weight_name("blk.1.attn_q_norm.weight"), "model.layers.1.self_attn.q_norm.weight");
  EXPECT_EQ(hf_weight_name("blk.1.attn_k_norm.weight"), "model.layers.1.self_attn.k_norm.weight");
  EXPECT_EQ(hf_weight_name("blk.1.ffn_norm.weight"), "model.layers.1.post_attention_layernorm.weight");
  EXPECT_EQ(hf_weight_name("blk.1.ffn_gate.weight"), "model.layers.1.mlp.gate_proj.weight");
  EXPECT_EQ(hf_weight_name("blk.1.ffn_up.weight"), "model.layers.1.mlp.up_proj.weight");
  EXPECT_EQ(hf_weight_name("blk.1.ffn_down.weight"), "model.layers.1.mlp.down_proj.weight");
  for (const char* unknown :
       {"rope_freqs.weight", "blk.x.attn_q.weight", "blk..attn_q.weight", "blk.1.odd.weight", "odd"}) {
    EXPECT_EQ(hf_weight_name(unknown), unknown);
  }
}

TEST(GgufModel, NamesLeadBackToTheFiles) {
  for (const char* name :
       {"token_embd.weight", "output.weight", "blk.0.attn_norm.weight", "blk.12.attn_k.bias"}) {
    EXPECT_EQ(gguf_weight_name(hf_weight_name(name)), name);
  }
  for (const char* name : {"model.layers.3", "model.layers.3.", "model.layers.", "rope.weight", "x"}) {
    EXPECT_EQ(gguf_weight_name(name), name);
  }
}

TEST(GgufModel, TensorsStayInTheFile) {
  const ModelFiles model = open_builder(small_model("llama"));
  const WeightTensor& q = require_weight(*model.weights, "model.layers.0.self_attn.q_proj.weight", {8, 8});
  EXPECT_EQ(q.source_name, "blk.0.attn_q.weight");
  EXPECT_EQ(q.data, model.gguf->data(*model.gguf->find_tensor("blk.0.attn_q.weight")));
  EXPECT_EQ(q.bytes, 256u);
  EXPECT_THAT(model.weights->names(),
              ElementsAre("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"));
}

TEST(GgufModelErrors, MissingOrUnknownIsNamed) {
  EXPECT_THAT(error_of(GgufBuilder()), HasSubstr("key `general.architecture` is missing"));
  EXPECT_THAT(error_of(keys_of("mamba")),
              HasSubstr("architecture `mamba`, supported are llama, qwen2, qwen3, deepseek_v2"));
  EXPECT_THAT(error_of(keys_of("llama").add_f32("token_embd.weight", {8, 4})),
              HasSubstr("key `llama.attention.layer_norm_rms_epsilon` is missing, expected a float"));
  EXPECT_THAT(error_of(keys_of("llama")), HasSubstr("tensor `token_embd.weight` is missing"));
  EXPECT_THAT(error_of(keys_of("llama").add_f32("token_embd.weight", {8})),
              HasSubstr("tensor `token_embd.weight` has shape [8], expected [vocabulary, hidden]"));
  EXPECT_THAT(error_of(small_model("llama").put_u32("llama.rope.dimension_count", 2)),
              HasSubstr("key `llama.rope.dimension_count` is 2, expected the head size 4"));
  EXPECT_THAT(error_of(small_model("llama").put_u32("llama.expert_count", 8)), HasSubstr("without experts"));
  EXPECT_THAT(error_of(small_model("llama").put_u32("split.count", 3)), HasSubstr("one of 3 parts"));
  EXPECT_THAT(
      error_of(small_model("llama").put<int64_t>("llama.attention.head_count_kv", testing::kGgufInt64, -1)),
      HasSubstr("key `llama.attention.head_count_kv` is -1, expected 0 to"));
}

}  // namespace
}  // namespace musaic
