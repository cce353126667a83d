#include <gtest/gtest.h>

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/mla_attention/mla_attention.h"
#include "ops/mla_project/mla_project.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseAbsorbedValues : public PassesTest {
 protected:
  FuseAbsorbedValues() {
    define_gpu_ops(registry_);
    names_.emplace_back("musaic::mla_absorbed_values_fp8");
  }

  // `shows`: what the heads attended to is an output too.
  Graph attention(bool shows) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    const Value attended = mla_absorbed_attention(
        {.query = tokens_by(builder, "query", 2 * 40),
         .cache = builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, 16, 40}),
         .query_start = ints("query_start", {tokens + 1}),
         .kv_lengths = ints("kv_lengths", {tokens}),
         .page_table = ints("page_table", {tokens, Dim::symbol("max_pages")}),
         .num_sequences = ints("num_sequences", {1}),
         .num_heads = 2,
         .scale = 0.1},
        32);
    const Fp8Rows rows =
        quantize_fp8(mla_expand_values(attended, builder.weight({"kv_b"}, DType::kF8E4M3, {2 * 256, 32}),
                                       builder.weight({"scale"}, DType::kF32, {4, 1}), 2, 128));
    builder.output("q", rows.q);
    builder.output("scales", rows.scale);
    if (shows) builder.output("attended", attended);
    return builder.take();
  }
};

TEST_F(FuseAbsorbedValues, AttentionExpansionAndQuantizationBecomeOne) {
  const Target target = target_without({});
  const Graph graph =
      run(run(attention(/*shows=*/false), target, fuse_absorbed_values), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, "musaic::mla_absorbed_values_fp8");
  EXPECT_EQ(graph.nodes[0].attributes.get_int("v_head_dim"), 128);
}

TEST_F(FuseAbsorbedValues, WhatOthersReadStays) {
  const Graph graph = run(attention(/*shows=*/true), target_without({}), fuse_absorbed_values);
  EXPECT_EQ(count(graph, "musaic::mla_absorbed_attention"), 1);
  EXPECT_EQ(count(graph, "musaic::mla_absorbed_values_fp8"), 0);
}

TEST_F(FuseAbsorbedValues, ADeviceWithoutTheOpKeepsAll) {
  const Graph graph = run(attention(/*shows=*/false), target_without({"musaic::mla_absorbed_values_fp8"}),
                          fuse_absorbed_values);
  EXPECT_EQ(count(graph, "musaic::mla_expand_values"), 1);
}

}  // namespace
}  // namespace musaic
