#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "base/status.h"
#include "models/layers.h"
#include "models/model.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Tensors by name that have a dtype and a shape but no bytes.
class ShapesOnly : public WeightSource {
 public:
  void add(const std::string& name, DType dtype, Shape shape) {
    tensors_[name] = {.name = name, .source_name = name, .dtype = dtype, .shape = shape};
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
  void drop_pages(const WeightTensor&) const override {}

 private:
  std::map<std::string, WeightTensor, std::less<>> tensors_;
};

ModelConfig tiny_config(const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.dtype = "float32";
  config.vocab_size = 96;
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 128;
  if (model_type == "deepseek_v2") {
    config.rope_interleaved = true;
    config.latent_attention = {.q_lora_rank = 0,
                               .kv_lora_rank = 32,
                               .qk_nope_head_dim = 8,
                               .qk_rope_head_dim = 16,
                               .v_head_dim = 12};
    config.experts = {
        .num_experts = 4, .num_shared_experts = 2, .experts_per_token = 2, .intermediate_size = 24};
  }
  return config;
}

class ModelsTest : public testing::Test {
 protected:
  ModelsTest() { define_ops(registry_); }

  StepInputs step_inputs(GraphBuilder& builder) const {
    const Dim tokens = Dim::symbol("tokens");
    const Dim sequences = Dim::symbol("sequences");
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    return {.token_ids = ints("token_ids", {tokens}),
            .positions = ints("positions", {tokens}),
            .slots = ints("slots", {tokens}),
            .query_start = ints("query_start", {sequences + 1}),
            .kv_lengths = ints("kv_lengths", {sequences}),
            .page_table = ints("page_table", {sequences, Dim::symbol("max_pages")}),
            .num_sequences = ints("num_sequences", {1})};
  }

  Graph trace(const ModelConfig& config, const WeightSource* weights = nullptr,
              const ModelOptions& options = {}, StepForm form = StepForm::kExtend) {
    GraphBuilder builder(registry_, "step", {});
    StepInputs inputs = step_inputs(builder);
    inputs.form = form;
    builder.output("hidden", make_model(config, weights, options)->forward(builder, inputs));
    EXPECT_THAT(verify(builder.graph(), registry_), testing::IsEmpty());
    return builder.take();
  }

  OpRegistry registry_;
};

// "weight" or "weight + bias" of every linear, in order.
std::vector<std::string> linears(const Graph& graph) {
  std::vector<std::string> found;
  for (const Node& node : graph.nodes) {
    if (node.op != "aten::linear") continue;
    std::string text = graph.values[node.inputs[1]].name;
    if (node.inputs[2] != kNoValue) text += " & " + graph.values[node.inputs[2]].name;
    found.push_back(text);
  }
  return found;
}

// The linears of layer 0 in order, each with or without its bias.
std::vector<std::string> layer_linears(bool qkv_bias, bool out_bias, bool mlp_bias) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& projection, bool has_bias) {
    const std::string prefix = "model.layers.0." + projection;
    names.push_back(prefix + ".weight" + (has_bias ? " & " + prefix + ".bias" : ""));
  };
  for (const char* projection : {"q_proj", "k_proj", "v_proj"})
    add(std::string("self_attn.") + projection, qkv_bias);
  add("self_attn.o_proj", out_bias);
  for (const char* projection : {"gate_proj", "up_proj", "down_proj"})
    add(std::string("mlp.") + projection, mlp_bias);
  return names;
}

TEST_F(ModelsTest, LlamaAndQwen3HaveTheBiasesThatTheirConfigurationNames) {
  for (const char* type : {"llama", "qwen3"}) {
    ModelConfig config = tiny_config(type);
    EXPECT_EQ(linears(trace(config)), layer_linears(false, false, false)) << type;
    config.attention_output_bias = true;
    EXPECT_EQ(linears(trace(config)), layer_linears(false, true, false)) << type;
    config.attention_bias = true;
    config.mlp_bias = true;
    EXPECT_EQ(linears(trace(config)), layer_linears(true, true, true)) << type;
  }
}

TEST_F(ModelsTest, Qwen2HasBiasesOnQueryKeyAndValueOnly) {
  EXPECT_EQ(linears(trace(tiny_config("qwen2"))), layer_linears(true, false, false));
}

TEST_F(ModelsTest, OnlyQwen3NormsItsHeads) {
  const auto head_norms = [&](const char* type) {
    const Graph graph = trace(tiny_config(type));
    return std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
      return node.op == "aten::rms_norm" && graph.values[node.inputs[1]].meta.shape == DimShape{16};
    });
  };
  EXPECT_EQ(head_norms("qwen3"), 2);
  EXPECT_EQ(head_norms("llama"), 0);
}

TEST_F(ModelsTest, TheLastResidualIsOneRowAToken) {
  for (const std::string& type : model_types()) {
    const Graph graph = trace(tiny_config(type));
    EXPECT_EQ(to_string(graph.values[graph.output("hidden")].meta), "f32[tokens, 64] cpu") << type;
  }
}

TEST_F(ModelsTest, TheHeadReadsTheEmbeddingWhenTied) {
  for (const bool tied : {false, true}) {
    ModelConfig config = tiny_config("llama");
    config.tie_word_embeddings = tied;
    GraphBuilder builder(registry_, "head", {});
    const Value hidden = builder.input("hidden", DType::kF32, {Dim::symbol("rows"), 64});
    builder.output("logits", make_model(config, nullptr, {})->head(builder, hidden));
    const Graph graph = builder.take();
    EXPECT_THAT(linears(graph), ElementsAre(tied ? "model.embed_tokens.weight" : "lm_head.weight"));
    EXPECT_EQ(to_string(graph.values[graph.output("logits")].meta), "f32[rows, 96] cpu");
  }
}

TEST_F(ModelsTest, EveryLayerHasItsOwnCache) {
  ModelConfig config = tiny_config("llama");
  config.num_hidden_layers = 3;
  const Graph graph = trace(config);
  for (const char* name : {"layers.0.key_cache", "layers.1.value_cache", "layers.2.key_cache"}) {
    const ValueId id = graph.find(name);
    ASSERT_NE(id, kNoValue) << name;
    EXPECT_EQ(to_string(graph.values[id].meta), "f16[pages, 2, 16, 16] cpu");
  }
}

TEST_F(ModelsTest, TheCacheSpecificationCountsKeysAndValues) {
  ModelConfig config = tiny_config("llama");
  config.num_hidden_layers = 3;
  const CacheSpec spec = make_model(config, nullptr, {.kv_dtype = DType::kF32, .page_size = 8})->cache();
  EXPECT_EQ(spec.page_size, 8);
  EXPECT_EQ(spec.bytes_per_token(), 2u * 3 * 2 * 16 * sizeof(float));
}

// Ops of layer 0 in order, without views and sums.
std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) {
    if (node.op != "aten::slice" && node.op != "aten::add")
      ops.push_back(node.op.substr(node.op.find(':') + 2));
  }
  return ops;
}

TEST_F(ModelsTest, DeepseekExpandsLatentsToExtendAndAbsorbsThemToDecode) {
  const Graph extend = trace(tiny_config("deepseek_v2"));
  const Graph decode = trace(tiny_config("deepseek_v2"), nullptr, {}, StepForm::kDecode);
  EXPECT_THAT(ops_of(extend), testing::Contains("mla_expanded_attention"));
  EXPECT_THAT(ops_of(extend), testing::Not(testing::Contains("mla_absorbed_attention")));
  EXPECT_THAT(ops_of(decode),
              testing::IsSupersetOf({"mla_absorb_query", "mla_absorbed_attention", "mla_expand_values"}));
  EXPECT_THAT(ops_of(decode), testing::Not(testing::Contains("mla_expanded_attention")));
  const ValueId cache = decode.find("layers.0.latent_cache");
  ASSERT_NE(cache, kNoValue);
  EXPECT_EQ(to_string(decode.values[cache].meta), "f16[pages, 1, 16, 48] cpu");
}

TEST_F(ModelsTest, DeepseeksQueryMayHaveALatentOfItsOwn) {
  ModelConfig config = tiny_config("deepseek_v2");
  config.latent_attention->q_lora_rank = 40;
  config.attention_bias = true;
  const std::string attention = "model.layers.0.self_attn.";
  const std::vector<std::string> found = linears(trace(config));
  ASSERT_GE(found.size(), 3u);
  EXPECT_EQ(found[0], attention + "q_a_proj.weight & " + attention + "q_a_proj.bias");
  EXPECT_EQ(found[1], attention + "q_b_proj.weight");
  EXPECT_EQ(found[2], attention + "kv_a_proj_with_mqa.weight & " + attention + "kv_a_proj_with_mqa.bias");
}

TEST_F(ModelsTest, DeepseeksFirstLayersAreDense) {
  ModelConfig config = tiny_config("deepseek_v2");
  config.num_hidden_layers = 3;
  config.experts->first_moe_layer = 2;
  const Graph graph = trace(config);
  EXPECT_NE(graph.find("model.layers.1.mlp.up_proj.weight"), kNoValue);
  EXPECT_EQ(graph.find("model.layers.1.mlp.gate.weight"), kNoValue);
  EXPECT_NE(graph.find("model.layers.2.mlp.gate.weight"), kNoValue);
}

TEST_F(ModelsTest, FollowTheConfigurationWhereItSaysFp8) {
  ModelConfig config = tiny_config("deepseek_v2");
  config.fp8 = BlockFp8{{"model.layers.0.self_attn.o_proj"}};
  const Graph graph = trace(config);
  const auto dtype = [&](const std::string& name) {
    const ValueId id = graph.find(name);
    return id == kNoValue ? "none" : std::string(musaic::name(graph.values[id].meta.dtype));
  };
  EXPECT_EQ(dtype("model.layers.0.self_attn.q_proj.weight"), "f8e4m3");
  EXPECT_EQ(dtype("model.layers.0.self_attn.q_proj.weight_scale_inv"), "f32");
  EXPECT_EQ(dtype("model.layers.0.self_attn.o_proj.weight"), "f32");
  EXPECT_EQ(dtype("model.layers.0.mlp.gate.weight"), "f32");
  EXPECT_EQ(dtype("model.embed_tokens.weight"), "f32");
  const auto ops = ops_of(graph);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "grouped_linear_fp8"), 2);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "sgl_per_token_group_quant_8bit_v2"), 3)
      << "the rows of attention, of all experts, and of the shared ones' second linear";
}

TEST_F(ModelsTest, DeepgemmsLayoutsAreContiguousToExtendAndMaskedToDecode) {
  const auto layout = [&](bool deepgemm, StepForm form) {
    const Graph graph = trace(tiny_config("deepseek_v2"), nullptr, {.deepgemm_layouts = deepgemm}, form);
    const auto route = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                    [](const Node& node) { return node.op == "musaic::moe_route"; });
    return route->attributes.get_string("layout");
  };
  EXPECT_EQ(layout(true, StepForm::kExtend), "contiguous");
  EXPECT_EQ(layout(true, StepForm::kDecode), "masked");
  EXPECT_EQ(layout(false, StepForm::kExtend), "compact");
  EXPECT_EQ(layout(false, StepForm::kDecode), "compact");
}

TEST_F(ModelsTest, AnUnknownModelTypeNamesTheKnownOnes) {
  try {
    make_model(tiny_config("bert"), nullptr, {});
    FAIL() << "no error";
  } catch (const LoadError& error) {
    EXPECT_STREQ(error.what(),
                 "model_type bert is not supported; there are: deepseek_v2, llama, qwen2, qwen3");
  }
}

TEST_F(ModelsTest, AMissingTensorIsNamedWhenTraced) {
  ShapesOnly weights;
  weights.add("model.embed_tokens.weight", DType::kF32, {96, 64});
  weights.add("model.layers.0.input_layernorm.weight", DType::kF32, {64});
  try {
    trace(tiny_config("llama"), &weights);
    FAIL() << "no error";
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.layers.0.self_attn.q_proj.weight"));
  }
}

}  // namespace
}  // namespace musaic
