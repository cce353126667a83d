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

  Graph trace(const ModelConfig& config, const WeightSource* weights = nullptr) {
    GraphBuilder builder(registry_, "extend", {});
    builder.output("hidden", make_model(config, weights, {})->forward(builder, step_inputs(builder)));
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

TEST_F(ModelsTest, AnUnknownModelTypeNamesTheKnownOnes) {
  try {
    make_model(tiny_config("bert"), nullptr, {});
    FAIL() << "no error";
  } catch (const LoadError& error) {
    EXPECT_STREQ(error.what(), "model_type bert is not supported; there are: llama, qwen2, qwen3");
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
