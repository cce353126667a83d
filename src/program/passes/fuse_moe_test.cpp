#include "ops/add/add.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_route/moe_route.h"
#include "ops/rms_norm/rms_norm.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseMoe : public PassesTest {
 protected:
  // Experts that give their rows back, and another branch; the choice is an output if asked for.
  Graph experts(bool shows_choice) {
    GraphBuilder builder(registry_, "g", {});
    const ExpertChoice choice =
        moe_gate({.logits = tokens_by(builder, "logits", 8), .top_k = 2, .scale = 3.0});
    const ExpertRows groups = moe_route(choice.experts, 8, ExpertLayout::kMasked);
    const Value rows = builder.input("rows", DType::kF32, {Dim::symbol("tokens") * 8, 16});
    const Value routed = moe_combine(rows, groups.token_row, choice.weights);
    builder.output("y", add(routed, tokens_by(builder, "shared", 16)));
    if (shows_choice) builder.output("experts", choice.experts);
    return builder.take();
  }
};

TEST_F(FuseMoe, GateAndRouteBecomeOneAndTheCombineAddsTheSharedExperts) {
  PassReport report;
  const Graph graph = run(experts(false), target_without({}), fuse_moe, &report);
  ASSERT_EQ(graph.nodes.size(), 1u + 1u);
  EXPECT_EQ(graph.nodes[0].op, "musaic::moe_gate_route");
  EXPECT_EQ(graph.nodes[0].attributes.get_string("layout"), "masked");
  EXPECT_EQ(graph.nodes[0].attributes.get_float("scale"), 3.0);
  EXPECT_EQ(graph.nodes[1].op, "musaic::moe_combine");
  EXPECT_NE(graph.nodes[1].inputs[3], kNoValue);
  EXPECT_EQ(report.rewrites, 2);
}

TEST_F(FuseMoe, AChoiceThatOthersReadKeepsItsGate) {
  PassReport report;
  const Graph graph = run(experts(true), target_without({}), fuse_moe, &report);
  EXPECT_EQ(count(graph, "musaic::moe_gate"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "the chosen experts are read by others too");
}

TEST_F(FuseMoe, ADeviceWithoutTheFusedOpKeepsBoth) {
  PassReport report;
  const Graph graph = run(experts(false), target_without({"musaic::moe_gate_route"}), fuse_moe, &report);
  EXPECT_EQ(count(graph, "musaic::moe_route"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "cpu has no musaic::moe_gate_route");
}

// Normed rows that are read in float as well as in FP8.
Graph normed_and_quantized(const OpRegistry& registry) {
  GraphBuilder builder(registry, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 256});
  const auto [normed, sum] =
      fused_add_rms_norm(add(x, x), add(x, x), builder.weight({"w"}, DType::kF32, {256}), 1e-5);
  const Fp8Rows rows = quantize_fp8(normed);
  builder.output("y", linear_fp8(rows, builder.weight({"a"}, DType::kF8E4M3, {128, 256}),
                                 builder.weight({"s"}, DType::kF32, {1, 2})));
  builder.output("z", add(normed, sum));
  return builder.take();
}

TEST_F(FuseMoe, NormAndFp8QuantizationBecomeOneThoughTheNormedRowsAreReadToo) {
  const Target target = target_without({});
  const Graph graph =
      run(run(normed_and_quantized(registry_), target, fuse_norm_quant_fp8), target, remove_dead_code);
  EXPECT_EQ(count(graph, "musaic::add_rms_norm_quant_fp8"), 1);
  EXPECT_EQ(count(graph, "sgl_kernel::fused_add_rmsnorm"), 0);
  EXPECT_EQ(count(graph, "musaic::empty_rows"), 0);
}

TEST_F(FuseMoe, ADeviceWithoutTheFusedNormKeepsItsQuantization) {
  PassReport report;
  const Graph graph = run(normed_and_quantized(registry_), target_without({"musaic::add_rms_norm_quant_fp8"}),
                          fuse_norm_quant_fp8, &report);
  EXPECT_EQ(count(graph, "sgl_kernel::sgl_per_token_group_quant_8bit_v2"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "cpu has no musaic::add_rms_norm_quant_fp8");
}

}  // namespace
}  // namespace musaic
