#include <gtest/gtest.h>

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/mla_attention/mla_attention.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

constexpr const char* kAttention = "musaic::mla_expanded_attention";
constexpr const char* kFused = "musaic::mla_expanded_attention_fp8";

class FuseExpandedQuantize : public PassesTest {
 protected:
  FuseExpandedQuantize() {
    define_gpu_ops(registry_);
    names_.emplace_back(kFused);
  }

  // `shows`: what the heads attended to is an output too.
  Graph attention(bool shows) {
    GraphBuilder builder(registry_, "g", {});
    const Dim sequences = Dim::symbol("sequences");
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    const Value attended = mla_expanded_attention(
        {.query = tokens_by(builder, "query", 2 * 136),
         .cache = builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, 16, 40}),
         .query_start = ints("query_start", {sequences + 1}),
         .kv_lengths = ints("kv_lengths", {sequences}),
         .page_table = ints("page_table", {sequences, Dim::symbol("max_pages")}),
         .num_sequences = ints("num_sequences", {1}),
         .num_heads = 2,
         .scale = 0.1},
        builder.weight({"kv_b"}, DType::kF8E4M3, {2 * 256, 32}),
        builder.weight({"scale"}, DType::kF32, {4, 1}));
    const Fp8Rows rows = quantize_fp8(attended);
    builder.output("q", rows.q);
    builder.output("scales", rows.scale);
    if (shows) builder.output("attended", attended);
    return builder.take();
  }
};

TEST_F(FuseExpandedQuantize, AttentionAndQuantizationBecomeOne) {
  const Target target = target_without({});
  const Graph graph =
      run(run(attention(/*shows=*/false), target, fuse_expanded_quantize), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, kFused);
  EXPECT_EQ(graph.nodes[0].attributes.get_int("num_heads"), 2);
}

TEST_F(FuseExpandedQuantize, WhatOthersReadStays) {
  const Graph graph = run(attention(/*shows=*/true), target_without({}), fuse_expanded_quantize);
  EXPECT_EQ(count(graph, kAttention), 1);
  EXPECT_EQ(count(graph, kFused), 0);
}

TEST_F(FuseExpandedQuantize, ADeviceWithoutTheOpKeepsAll) {
  const Graph graph = run(attention(/*shows=*/false), target_without({kFused}), fuse_expanded_quantize);
  EXPECT_EQ(count(graph, kAttention), 1);
}

}  // namespace
}  // namespace musaic
