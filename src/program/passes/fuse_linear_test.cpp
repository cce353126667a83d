#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/attention/attention.h"
#include "ops/kv_write/kv_write.h"
#include "ops/linear/linear.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/swiglu/swiglu.h"
#include "ops/view/view.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

// A device with the fused ops of GPUs.
class FuseLinearTest : public PassesTest {
 protected:
  FuseLinearTest() {
    define_gpu_ops(registry_);
    for (const char* name : {"musaic::rms_norm_linear", "musaic::rms_norm_linear_swiglu",
                             "musaic::linear_add_", "musaic::rope_attention"})
      names_.emplace_back(name);
  }
  Value weight(GraphBuilder& builder, const char* name, DimShape shape) {
    return builder.weight({name}, DType::kBF16, std::move(shape));
  }
};

TEST_F(FuseLinearTest, TheProductIsAddedInPlaceOfTheResidual) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value residual = rms_norm(x, weight(builder, "norm", {64}), 1e-5);
  builder.output("y", add(residual, linear(x, weight(builder, "w", {64, 64}))));
  const Graph graph = run(builder.take(), target_without({}), fuse_linear_add);
  EXPECT_EQ(count(graph, "musaic::linear_add_"), 1);
  EXPECT_EQ(count(graph, "aten::linear") + count(graph, "aten::add"), 0);
}

TEST_F(FuseLinearTest, AResidualThatIsReadLaterKeepsTheAdd) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value residual = rms_norm(x, weight(builder, "norm", {64}), 1e-5);
  const Value sum = add(residual, linear(x, weight(builder, "w", {64, 64})));
  builder.output("y", mul(sum, residual));
  PassReport report;
  const Graph graph = run(builder.take(), target_without({}), fuse_linear_add, &report);
  EXPECT_EQ(count(graph, "musaic::linear_add_"), 0);
  EXPECT_EQ(report.left.size(), 1u);
}

TEST_F(FuseLinearTest, AProductThatIsReadTwiceKeepsTheAdd) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value residual = rms_norm(x, weight(builder, "norm", {64}), 1e-5);
  const Value product = linear(x, weight(builder, "w", {64, 64}));
  builder.output("y", mul(add(residual, product), product));
  EXPECT_EQ(count(run(builder.take(), target_without({}), fuse_linear_add), "musaic::linear_add_"), 0);
}

TEST_F(FuseLinearTest, NormLinearAndSwigluBecomeOne) {
  GraphBuilder builder(registry_, "g", {});
  const Value normed = rms_norm(tokens_by(builder, "x", 64), weight(builder, "norm", {64}), 1e-5);
  builder.output("y", fused_swiglu(linear(normed, weight(builder, "w", {128, 64}))));
  const Target target = target_without({});
  const Graph graph = run(run(builder.take(), target, fuse_norm_linear), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, "musaic::rms_norm_linear_swiglu");
}

TEST_F(FuseLinearTest, HalvesThatASwigluLeftDoNotKeepItOut) {
  GraphBuilder builder(registry_, "g", {});
  const Value normed = rms_norm(tokens_by(builder, "x", 64), weight(builder, "norm", {64}), 1e-5);
  const Value both = linear(normed, weight(builder, "w", {128, 64}));
  builder.output("y", mul(silu(slice(both, 1, 0, 64)), slice(both, 1, 64, 128)));
  const Target target = target_without({});
  const Graph graph =
      run(run(run(builder.take(), target, fuse_swiglu), target, fuse_norm_linear), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, "musaic::rms_norm_linear_swiglu");
}

TEST_F(FuseLinearTest, WithoutTheSwigluOpNormAndLinearStillBecomeOne) {
  GraphBuilder builder(registry_, "g", {});
  const Value normed = rms_norm(tokens_by(builder, "x", 64), weight(builder, "norm", {64}), 1e-5);
  builder.output("y", fused_swiglu(linear(normed, weight(builder, "w", {128, 64}))));
  const Target target = target_without({"musaic::rms_norm_linear_swiglu"});
  const Graph graph = run(run(builder.take(), target, fuse_norm_linear), target, remove_dead_code);
  EXPECT_EQ(count(graph, "musaic::rms_norm_linear"), 1);
  EXPECT_EQ(count(graph, "aten::_fused_swiglu_forward"), 1);
}

TEST_F(FuseLinearTest, NormedRowsThatTwoLinearsReadStay) {
  GraphBuilder builder(registry_, "g", {});
  const Value normed = rms_norm(tokens_by(builder, "x", 64), weight(builder, "norm", {64}), 1e-5);
  const Value one = linear(normed, weight(builder, "v", {64, 64}));
  builder.output("y", mul(one, linear(normed, weight(builder, "w", {64, 64}))));
  EXPECT_EQ(count(run(builder.take(), target_without({}), fuse_norm_linear), "aten::rms_norm"), 1);
}

// A norm and a linear with a weight of that type, fused and then rounded.
TEST_F(FuseLinearTest, RowsAreRoundedForABf16WeightAlone) {
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    GraphBuilder builder(registry_, "g", {});
    const Value normed = rms_norm(tokens_by(builder, "x", 64), weight(builder, "norm", {64}), 1e-5);
    builder.output("y", linear(normed, builder.weight({"w"}, dtype, {64, 64})));
    const Target target = target_without({});
    const Graph fused = run(run(builder.take(), target, fuse_norm_linear), target, remove_dead_code);
    ASSERT_EQ(fused.nodes.size(), 1u);
    EXPECT_FALSE(fused.nodes[0].attributes.get_bool("rounds_x"));
    const Graph rounded = run(fused, target, round_linear);
    EXPECT_EQ(rounded.nodes[0].attributes.get_bool("rounds_x"), dtype == DType::kBF16);
  }
}

// Rotation and write of a layer, then attention to it, with `sequences` as the dimension of the lengths.
Graph attention_graph(const OpRegistry& registry, const Dim& sequences) {
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const auto floats = [&](const char* name, int64_t width) {
    return builder.input(name, DType::kF32, {tokens, width});
  };
  const auto ints = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kI32, std::move(shape));
  };
  const DimShape cache = {Dim::symbol("pages"), 1, 16, 64};
  const Value query = add(floats("q", 128), floats("r", 128));
  const auto written = rope_kv_write({.query = query,
                                      .key = floats("k", 64),
                                      .value = floats("v", 64),
                                      .cos_sin = floats("cos_sin", 64),
                                      .slots = ints("slots", {tokens}),
                                      .key_cache = builder.state("keys", DType::kF16, cache),
                                      .value_cache = builder.state("values", DType::kF16, cache),
                                      .head_dim = 64});
  builder.output("out",
                 paged_attention({.query = written.query,
                                  .key_cache = written.key_cache,
                                  .value_cache = written.value_cache,
                                  .query_start = ints("query_start", {sequences + 1}),
                                  .kv_lengths = ints("kv_lengths", {sequences}),
                                  .page_table = ints("page_table", {sequences, Dim::symbol("max_pages")}),
                                  .num_sequences = ints("num_sequences", {1}),
                                  .num_heads = 2,
                                  .scale = 0.125}));
  return builder.take();
}

TEST_F(FuseLinearTest, ADecodeStepsRotationWriteAndAttentionBecomeOne) {
  const Graph graph =
      run(attention_graph(registry_, Dim::symbol("tokens")), target_without({}), fuse_rope_attention);
  EXPECT_EQ(count(graph, "musaic::rope_attention"), 1);
  EXPECT_EQ(count(graph, "musaic::rope_kv_write") + count(graph, "musaic::paged_attention"), 0);
}

TEST_F(FuseLinearTest, SequencesOfSeveralRowsKeepTheirWriteApart) {
  PassReport report;
  const Graph graph = run(attention_graph(registry_, Dim::symbol("sequences")), target_without({}),
                          fuse_rope_attention, &report);
  EXPECT_EQ(count(graph, "musaic::rope_attention"), 0);
  EXPECT_EQ(report.left.size(), 1u);
}

}  // namespace
}  // namespace musaic
