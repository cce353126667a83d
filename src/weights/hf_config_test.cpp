#include "weights/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "formats/test_files.h"

namespace musaic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kSizes =
    R"("vocab_size":1000,"hidden_size":64,"intermediate_size":128,"num_hidden_layers":3,"num_attention_heads":8)";

// A llama's config.json of these sizes and `more` keys; a later key does not replace an earlier one.
std::string llama(const std::string& more) {
  return R"({"model_type":"llama",)" + kSizes + more + "}";
}

ModelConfig read(const std::string& json, const std::string& generation = "") {
  const testing::TemporaryFolder folder;
  if (!generation.empty()) folder.write("generation_config.json", generation);
  return read_hf_config(folder.write("config.json", json));
}

std::string error_of(const std::string& json, const std::string& generation = "") {
  try {
    read(json, generation);
  } catch (const LoadError& error) {
    return error.what();
  }
  return "it was read";
}

TEST(HfConfig, WhatIsLeftOutHasItsDefault) {
  const ModelConfig config = read(llama(""));
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_FALSE(config.rope_scaling);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_FALSE(config.rope_interleaved);
  EXPECT_EQ(config.dtype, "float32");
  EXPECT_THAT(config.architectures, ElementsAre("LlamaForCausalLM"));
  EXPECT_THAT(config.eos_token_ids, IsEmpty());
  EXPECT_FALSE(config.bos_token_id);
}

TEST(HfConfig, BothSpellingsOfRopeAndDtypeAreRead) {
  const ModelConfig older = read(llama(
      R"(,"torch_dtype":"float16","rope_theta":500000,"rope_scaling":{"type":"yarn","factor":4,"beta_fast":16,)"
      R"("original_max_position_embeddings":512,"mscale":0.7,"mscale_all_dim":0.5})"));
  const ModelConfig newer = read(llama(
      R"(,"dtype":"float16","rope_parameters":{"rope_type":"yarn","factor":4.0,"beta_fast":16,"rope_theta":500000.0,)"
      R"("original_max_position_embeddings":512,"mscale":0.7,"mscale_all_dim":0.5})"));
  for (const ModelConfig& config : {older, newer}) {
    EXPECT_EQ(config.dtype, "float16");
    EXPECT_EQ(config.rope_theta, 500000.0);
    ASSERT_TRUE(config.rope_scaling);
    EXPECT_EQ(config.rope_scaling->type, "yarn");
    EXPECT_EQ(config.rope_scaling->factor, 4.0);
    EXPECT_EQ(config.rope_scaling->beta_fast, 16.0);
    EXPECT_EQ(config.rope_scaling->beta_slow, 1.0);
    EXPECT_EQ(config.rope_scaling->mscale, 0.7);
    EXPECT_EQ(config.rope_scaling->mscale_all_dim, 0.5);
    EXPECT_EQ(config.rope_scaling->original_max_position_embeddings, 512);
  }
}

TEST(HfConfig, AbsentScalingsAreNone) {
  EXPECT_FALSE(read(llama(R"(,"rope_scaling":null)")).rope_scaling);
  EXPECT_FALSE(read(llama(R"(,"rope_parameters":{"rope_type":"default","rope_theta":7})")).rope_scaling);
  EXPECT_EQ(read(llama(R"(,"rope_parameters":{"rope_type":"default","rope_theta":7})")).rope_theta, 7.0);
  EXPECT_EQ(read(llama(R"(,"rope_scaling":{"type":"linear","factor":2})")).rope_scaling->type, "linear");
}

TEST(HfConfig, EndTokensOfBothFilesAreMerged) {
  const ModelConfig config = read(llama(R"(,"eos_token_id":5,"bos_token_id":1)"),
                                  R"({"eos_token_id":[7,5,4000],"temperature":0.6,"top_p":0.9,"top_k":20,)"
                                  R"("min_p":0.05,"repetition_penalty":1.1})");
  EXPECT_THAT(config.eos_token_ids, ElementsAre(5, 7));  // 4000 is no token of 1000
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.default_temperature, 0.6f);
  EXPECT_EQ(config.default_top_p, 0.9f);
  EXPECT_EQ(config.default_top_k, 20);
  EXPECT_EQ(config.default_min_p, 0.05f);
  EXPECT_EQ(config.default_repetition_penalty, 1.1f);
}

TEST(HfConfig, BiasesFollowTheArchitecture) {
  const ModelConfig llama_config = read(llama(R"(,"attention_bias":true,"mlp_bias":true)"));
  EXPECT_TRUE(llama_config.attention_bias);
  EXPECT_TRUE(llama_config.attention_output_bias);
  EXPECT_TRUE(llama_config.mlp_bias);
  const ModelConfig qwen2 = read(R"({"model_type":"qwen2",)" + kSizes + "}");
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_FALSE(qwen2.attention_output_bias);
  EXPECT_EQ(read(R"({"model_type":"qwen3",)" + kSizes + "}").head_dim, 128);
}

// A deepseek_v2's config.json of kSizes and `more` keys.
std::string deepseek(const std::string& more) {
  return R"({"model_type":"deepseek_v2","kv_lora_rank":64,"qk_nope_head_dim":16,"qk_rope_head_dim":8,"v_head_dim":24,)" +
         kSizes + more + "}";
}

const std::string kExperts = R"(,"n_routed_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32)";

TEST(HfConfig, LatentAttentionAndExpertsAreRead) {
  const ModelConfig config = read(deepseek(
      kExperts + R"(,"q_lora_rank":48,"n_shared_experts":2,"first_k_dense_replace":1,"moe_layer_freq":2,)"
                 R"("topk_method":"group_limited_greedy","n_group":4,"topk_group":2,"norm_topk_prob":true,)"
                 R"("routed_scaling_factor":16.0,"head_dim":5)"));
  ASSERT_TRUE(config.latent_attention && config.experts);
  EXPECT_EQ(config.latent_attention->q_lora_rank, 48);
  EXPECT_EQ(config.latent_attention->kv_lora_rank, 64);
  EXPECT_EQ(config.latent_attention->query_head_dim(), 24);
  EXPECT_EQ(config.latent_attention->v_head_dim, 24);
  EXPECT_EQ(config.head_dim, 8) << "of the rotated part";
  EXPECT_TRUE(config.rope_interleaved);
  const MixtureOfExperts& moe = *config.experts;
  EXPECT_EQ(moe.num_shared_experts, 2);
  EXPECT_EQ(moe.num_groups, 4);
  EXPECT_EQ(moe.top_groups, 2);
  EXPECT_TRUE(moe.norm_topk_prob);
  EXPECT_EQ(moe.routed_scaling_factor, 16.0);
  EXPECT_FALSE(moe.is_moe_layer(0));
  EXPECT_FALSE(moe.is_moe_layer(1));
  EXPECT_TRUE(moe.is_moe_layer(2));
}

TEST(HfConfig, TheFullSizeAndTheTinySpellingsGiveOneMeaning) {
  const ModelConfig full = read_hf_config(MUSAIC_TEST_DATA "/deepseek_v2_lite_fp8_config.json");
  const ModelConfig tiny = read_hf_config(MUSAIC_TEST_DATA "/tiny/deepseek_v2_fp8/config.json");
  for (const ModelConfig& config : {full, tiny}) {
    ASSERT_TRUE(config.latent_attention && config.experts && config.rope_scaling && config.fp8);
    EXPECT_EQ(config.latent_attention->q_lora_rank, 0);
    EXPECT_EQ(config.rope_scaling->type, "yarn");
    EXPECT_EQ(config.rope_scaling->mscale_all_dim, 0.707);
    EXPECT_EQ(config.experts->num_groups, 1);
    EXPECT_EQ(config.dtype, "bfloat16");
  }
  EXPECT_FALSE(full.fp8->converts("model.layers.0.mlp.down_proj"));
  EXPECT_TRUE(full.fp8->converts("model.layers.1.mlp.experts.0.down_proj"));
  EXPECT_TRUE(tiny.fp8->converts("model.layers.0.mlp.down_proj"));
}

TEST(HfConfig, ModulesAreKeptUnderUnmergedMergedAndOuterNames) {
  const ModelConfig config = read(deepseek(
      R"(,"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128],"modules_to_not_convert":)"
      R"(["model.layers.0.mlp.gate_up_proj","model.layers.1.self_attn.q_proj","model.layers.2","o_proj"]})"));
  for (const char* kept :
       {"model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj", "model.layers.0.mlp.gate_up_proj",
        "model.layers.1.self_attn.q_proj", "model.layers.2.mlp.down_proj", "model.layers.9.self_attn.o_proj"})
    EXPECT_FALSE(config.fp8->converts(kept)) << kept;
  for (const char* converted : {"model.layers.0.mlp.down_proj", "model.layers.10.mlp.gate_proj",
                                "model.layers.1.self_attn.kv_b_proj", "model.layers.20.mlp.down_proj"})
    EXPECT_TRUE(config.fp8->converts(converted)) << converted;
}

TEST(HfConfigErrors, ExpertsThatContradictAreTold) {
  EXPECT_THAT(error_of(R"({"model_type":"deepseek_v2",)" + kSizes + "}"),
              HasSubstr("`kv_lora_rank` is missing"));
  EXPECT_THAT(error_of(deepseek(R"(,"q_lora_rank":-1)")), HasSubstr("`q_lora_rank` is -1"));
  EXPECT_THAT(error_of(deepseek(kExperts + R"(,"topk_method":"noaux_tc")")),
              HasSubstr("`topk_method` is `noaux_tc`, expected greedy or group_limited_greedy"));
  EXPECT_THAT(error_of(deepseek(kExperts + R"(,"scoring_func":"sigmoid")")),
              HasSubstr("`scoring_func` is `sigmoid`, expected softmax"));
  const std::string groups = kExperts + R"(,"topk_method":"group_limited_greedy","topk_group":)";
  EXPECT_THAT(error_of(deepseek(groups + R"(1,"n_group":3)")), HasSubstr("multiple of the 3 groups"));
  EXPECT_THAT(error_of(deepseek(groups + R"(5,"n_group":4)")),
              HasSubstr("`topk_group` is 5, expected at most"));
  EXPECT_THAT(error_of(deepseek(groups + R"(1,"n_group":8)")),
              HasSubstr("`num_experts_per_tok` is 2, expected at most the 1"));
  EXPECT_THAT(error_of(deepseek(R"(,"quantization_config":{"quant_method":"fp8"})")),
              HasSubstr("`weight_block_size` of [128, 128]"));
}

TEST(HfConfigErrors, OtherArchitecturesAreNamedWithThoseSupported) {
  EXPECT_THAT(error_of(R"({"model_type":"mamba"})"),
              HasSubstr("`model_type` is `mamba`, supported are llama, qwen2, qwen3, deepseek_v2"));
  EXPECT_THAT(error_of("{}"), HasSubstr("config.json: `model_type` is missing, supported are"));
  EXPECT_THAT(error_of(llama(R"(,"architectures":["LlamaForSequenceClassification"])")),
              HasSubstr("`architectures` names LlamaForSequenceClassification, expected LlamaForCausalLM"));
}

TEST(HfConfigErrors, MissingAndWrongKeysAreNamed) {
  EXPECT_THAT(error_of(R"({"model_type":"llama"})"), HasSubstr("`vocab_size` is missing"));
  EXPECT_THAT(error_of("[]"), HasSubstr("expected a JSON object, got array"));
  EXPECT_THAT(error_of(llama(R"(,"head_dim":"8")")),
              HasSubstr("`head_dim` is \"8\", expected a whole number"));
  EXPECT_THAT(error_of(llama(R"(,"head_dim":8.5)")), HasSubstr("`head_dim` is 8.5"));
  EXPECT_THAT(error_of(llama(R"(,"head_dim":1e30)")), HasSubstr("`head_dim` is 1e+30"));
  EXPECT_THAT(error_of(llama(R"(,"rms_norm_eps":"x")")),
              HasSubstr("`rms_norm_eps` is \"x\", expected a number"));
  EXPECT_THAT(error_of(llama(R"(,"tie_word_embeddings":1)")), HasSubstr("expected true or false"));
  EXPECT_THAT(error_of(llama(""), R"({"eos_token_id":["a"]})"),
              HasSubstr("generation_config.json: `eos_token_id`"));
}

TEST(HfConfigErrors, SizesThatContradictAreTold) {
  EXPECT_THAT(error_of(llama(R"(,"num_key_value_heads":3)")),
              HasSubstr("8 attention heads, expected a multiple of the 3 key-value heads"));
  EXPECT_THAT(error_of(llama(R"(,"num_key_value_heads":0)")),
              HasSubstr("`num_key_value_heads` is 0, expected at least 1"));
  EXPECT_THAT(error_of(llama(R"(,"head_dim":7)")), HasSubstr("`head_dim` is 7, expected an even number"));
  EXPECT_THAT(error_of(llama(R"(,"head_dim":2147483646)")), HasSubstr("8 attention heads of 2147483646"));
  EXPECT_THAT(error_of(llama(R"(,"max_position_embeddings":-1)")),
              HasSubstr("`max_position_embeddings` is -1"));
  EXPECT_THAT(error_of(llama(R"(,"rms_norm_eps":0)")),
              HasSubstr("`rms_norm_eps` is 0, expected more than 0"));
  EXPECT_THAT(error_of(llama(R"(,"rope_theta":-5)")), HasSubstr("`rope_theta` is -5"));
}

TEST(HfConfigErrors, WhatWouldGiveWrongAnswersIsRefused) {
  EXPECT_THAT(error_of(llama(R"(,"hidden_act":"gelu")")), HasSubstr("`hidden_act` is `gelu`, expected silu"));
  EXPECT_THAT(error_of(llama(R"(,"use_sliding_window":true)")), HasSubstr("`use_sliding_window` is true"));
  EXPECT_THAT(error_of(llama(R"(,"layer_types":["full_attention","sliding_attention"])")),
              HasSubstr("`layer_types` has `sliding_attention`"));
  EXPECT_THAT(error_of(llama(R"(,"quantization_config":{"quant_method":"awq"})")),
              HasSubstr("quantized with `awq`"));
  EXPECT_THAT(error_of(llama(R"(,"partial_rotary_factor":0.5)")),
              HasSubstr("`partial_rotary_factor` is 0.5"));
  EXPECT_THAT(error_of(llama(R"(,"rope_scaling":{"type":"longrope","factor":2})")),
              HasSubstr("rope type `longrope`, supported are default, linear, llama3 and yarn"));
  EXPECT_THAT(error_of(llama(R"(,"rope_scaling":{"type":"linear"})")),
              HasSubstr("rope's `factor` is missing"));
  EXPECT_THAT(error_of(llama(R"(,"rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4})")),
              HasSubstr("`high_freq_factor` is 4, expected more than"));
}

}  // namespace
}  // namespace musaic
