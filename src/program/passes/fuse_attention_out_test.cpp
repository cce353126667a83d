#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/attention/rope_attention.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

constexpr const char* kFused = "musaic::attention_out_";

struct Layer {
  bool rounds_x = true;
  bool has_bias = false;
  bool shows_attended = false;  // as an output
};

class FuseAttentionOut : public PassesTest {
 protected:
  FuseAttentionOut() {
    define_gpu_ops(registry_);
    names_.emplace_back(kFused);
  }

  Graph attention(const Layer& layer) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    const DimShape cache = {Dim::symbol("pages"), 1, 16, 64};
    const Value residual = add(tokens_by(builder, "x", 32), tokens_by(builder, "y", 32));
    const Value attended =
        rope_attention({.query = tokens_by(builder, "query", 128),
                        .key = tokens_by(builder, "key", 64),
                        .value = tokens_by(builder, "value", 64),
                        .cos_sin = tokens_by(builder, "cos_sin", 64),
                        .slots = ints("slots", {tokens}),
                        .key_cache = builder.state("keys", DType::kBF16, cache),
                        .value_cache = builder.state("values", DType::kBF16, cache),
                        .query_start = ints("query_start", {tokens + 1}),
                        .kv_lengths = ints("kv_lengths", {tokens}),
                        .page_table = ints("page_table", {tokens, Dim::symbol("max_pages")}),
                        .num_sequences = ints("num_sequences", {1}),
                        .num_heads = 2,
                        .scale = 0.125})
            .out;
    const Value weight = builder.weight({"weight"}, DType::kBF16, {32, 128});
    const Value bias = layer.has_bias ? builder.weight({"bias"}, DType::kBF16, {32}) : Value();
    const std::vector<Value> inputs = {residual, attended, weight, bias};
    builder.output("out", builder.call("musaic::linear_add_", inputs, {{"rounds_x", layer.rounds_x}})[0]);
    if (layer.shows_attended) builder.output("attended", attended);
    return builder.take();
  }
};

TEST_F(FuseAttentionOut, AttentionAndItsProjectionBecomeOne) {
  const Graph graph = run(attention({}), target_without({}), fuse_attention_out);
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.nodes[1].op, kFused);
  EXPECT_EQ(graph.nodes[1].attributes.get_int("num_heads"), 2);
}

TEST_F(FuseAttentionOut, WhatOthersReadOrTheOpDoesNotComputeStays) {
  for (const Layer& layer :
       {Layer{.shows_attended = true}, Layer{.has_bias = true}, Layer{.rounds_x = false}}) {
    const Graph graph = run(attention(layer), target_without({}), fuse_attention_out);
    EXPECT_EQ(count(graph, kFused), 0);
    EXPECT_EQ(count(graph, "musaic::rope_attention") + count(graph, "musaic::linear_add_"), 2);
  }
}

TEST_F(FuseAttentionOut, ADeviceWithoutTheOpKeepsBoth) {
  const Graph graph = run(attention({}), target_without({kFused}), fuse_attention_out);
  EXPECT_EQ(count(graph, "musaic::rope_attention"), 1);
}

}  // namespace
}  // namespace musaic
