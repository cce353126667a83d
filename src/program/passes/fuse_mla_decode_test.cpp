#include <gtest/gtest.h>

#include "ops/latent_write/norm_latent_write.h"
#include "ops/mla_attention/mla_absorbed_values.h"
#include "ops/mla_project/mla_project.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

constexpr const char* kFused = "musaic::mla_decode_attention_fp8";

struct Layer {
  bool has_row_a_sequence = true;
  bool shows_query = false;  // the rotated one, as an output
  bool has_other_values = false;
};

class FuseMlaDecode : public PassesTest {
 protected:
  FuseMlaDecode() {
    define_gpu_ops(registry_);
    for (const char* op : {kFused, "musaic::norm_latent_write", "musaic::mla_absorbed_values_fp8"})
      names_.emplace_back(op);
  }

  Graph attention(const Layer& layer) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const Dim sequences = layer.has_row_a_sequence ? tokens : Dim::symbol("sequences");
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    const auto kv_b = [&](const char* name) { return builder.weight({name}, DType::kF8E4M3, {2 * 256, 32}); };
    const Value scale = builder.weight({"scale"}, DType::kF32, {4, 1});
    const auto [query, cache] =
        norm_latent_write({.query = tokens_by(builder, "query", 2 * 136),
                           .latent = tokens_by(builder, "latent", 32),
                           .rope_key = tokens_by(builder, "rope_key", 8),
                           .cos_sin = tokens_by(builder, "cos_sin", 8),
                           .slots = ints("slots", {tokens}),
                           .cache = builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, 16, 40}),
                           .head_dim = 136},
                          builder.weight({"norm"}, DType::kBF16, {32}), 1e-6);
    const Value weight = kv_b("kv_b");
    const Fp8Rows rows =
        mla_absorbed_values_fp8({.query = mla_absorb_query(query, weight, scale, 2, 128),
                                 .cache = cache,
                                 .query_start = ints("query_start", {sequences + 1}),
                                 .kv_lengths = ints("kv_lengths", {sequences}),
                                 .page_table = ints("page_table", {sequences, Dim::symbol("max_pages")}),
                                 .num_sequences = ints("num_sequences", {1}),
                                 .num_heads = 2,
                                 .scale = 0.1},
                                32, layer.has_other_values ? kv_b("other") : weight, scale, 128);
    builder.output("q", rows.q);
    builder.output("scales", rows.scale);
    if (layer.shows_query) builder.output("rotated", query);
    return builder.take();
  }
};

TEST_F(FuseMlaDecode, WriteQueryAndAttentionBecomeOne) {
  const Graph graph = run(attention({}), target_without({}), fuse_mla_decode);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, kFused);
  EXPECT_EQ(graph.nodes[0].attributes.get_int("num_heads"), 2);
  EXPECT_EQ(graph.nodes[0].attributes.get_int("head_dim"), 136);
}

TEST_F(FuseMlaDecode, WhatOthersReadOrTheOpDoesNotComputeStays) {
  for (const Layer& layer :
       {Layer{.has_row_a_sequence = false}, Layer{.shows_query = true}, Layer{.has_other_values = true}}) {
    const Graph graph = run(attention(layer), target_without({}), fuse_mla_decode);
    EXPECT_EQ(graph.nodes.size(), 3u);
    EXPECT_EQ(count(graph, kFused), 0);
  }
}

TEST_F(FuseMlaDecode, ADeviceWithoutTheOpKeepsAll) {
  const Graph graph = run(attention({}), target_without({kFused}), fuse_mla_decode);
  EXPECT_EQ(count(graph, "musaic::mla_absorbed_values_fp8"), 1);
}

}  // namespace
}  // namespace musaic
