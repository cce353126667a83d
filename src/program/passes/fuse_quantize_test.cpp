#include "ops/add/add.h"
#include "ops/linear/linear.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/quantize/quantize.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/swiglu/swiglu.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseQuantize : public PassesTest {
 protected:
  Value project(GraphBuilder& builder, const QuantizedRows& x, const char* name) {
    return linear_q8(x, builder.weight({name}, DType::kQ8_0, {64, 64}));
  }

  // A norm of `x`, quantized, under a linear; then x + that, normed and quantized again.
  Graph two_norms(bool read_in_float) {
    GraphBuilder builder(registry_, "g", {});
    const Value x = tokens_by(builder, "x", 64);
    const Value weight = builder.weight({"w"}, DType::kF32, {64});
    const Value first = rms_norm(x, weight, 1e-5);
    const Value branch = project(builder, quantize_q8(first), "a");
    const Value residual = add(x, x);
    const auto [normed, sum] = fused_add_rms_norm(branch, residual, weight, 1e-5);
    builder.output("y", add(sum, project(builder, quantize_q8(normed), "b")));
    if (read_in_float) builder.output("z", add(first, normed));
    return builder.take();
  }
};

TEST_F(FuseQuantize, NormAndQuantizationBecomeOneWithAndWithoutAdd) {
  PassReport report;
  const Graph graph = run(two_norms(false), target_without({}), fuse_norm_quantize, &report);
  EXPECT_EQ(count(graph, "musaic::rms_norm_quantize_q8"), 1);
  EXPECT_EQ(count(graph, "musaic::add_rms_norm_quantize_q8"), 1);
  EXPECT_EQ(count(graph, "musaic::quantize_q8"), 0);
  EXPECT_EQ(report.rewrites, 2);
}

TEST_F(FuseQuantize, NormedRowsThatAreReadInFloatTooStay) {
  PassReport report;
  const Graph graph = run(two_norms(true), target_without({}), fuse_norm_quantize, &report);
  EXPECT_EQ(count(graph, "musaic::quantize_q8"), 2);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "the normed rows are read in float too");
  EXPECT_EQ(report.left[0].count, 2);
}

TEST_F(FuseQuantize, ADeviceWithoutTheFusedOpKeepsBothAndTheReportSaysSo) {
  PassReport report;
  const Target target = target_without({"musaic::add_rms_norm_quantize_q8"});
  const Graph graph = run(two_norms(false), target, fuse_norm_quantize, &report);
  EXPECT_EQ(count(graph, "musaic::rms_norm_quantize_q8"), 1);
  EXPECT_EQ(count(graph, "sgl_kernel::fused_add_rmsnorm"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "cpu has no musaic::add_rms_norm_quantize_q8");
}

TEST_F(FuseQuantize, SwigluAndQuantizationBecomeOne) {
  GraphBuilder builder(registry_, "g", {});
  builder.output("y", project(builder, quantize_q8(fused_swiglu(tokens_by(builder, "x", 128))), "a"));
  const Target target = target_without({});
  const Graph graph = run(run(builder.take(), target, fuse_swiglu_quantize), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.nodes[0].op, "musaic::swiglu_quantize_q8");
}

// swiglu(x), then a write to x, if asked for; then the seed's quantization of the product.
Graph group_quant_graph(const OpRegistry& registry, bool write_between) {
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const Value x = builder.input("x", DType::kF32, {tokens, 128});
  const Value residual = builder.input("residual", DType::kF32, {tokens, 128});
  const Value product = fused_swiglu(x);
  if (write_between) fused_add_rms_norm(x, residual, builder.weight({"w"}, DType::kF32, {128}), 1e-5);
  per_token_group_quant({.input = product,
                         .output_q = builder.state("q", DType::kF8E4M3, {tokens, 64}),
                         .output_s = builder.state("s", DType::kF32, {tokens, 2}),
                         .group_size = 32});
  return builder.take();
}

TEST_F(FuseQuantize, TheSeedsQuantizationTakesSiluAndMulIn) {
  const Target target = target_without({});
  const Graph graph =
      run(run(group_quant_graph(registry_, false), target, fuse_swiglu_quantize), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_TRUE(graph.nodes[0].attributes.get_bool("fuse_silu_and_mul"));
}

TEST_F(FuseQuantize, AnInputThatIsOverwrittenInBetweenKeepsThemApart) {
  PassReport report;
  const Graph graph =
      run(group_quant_graph(registry_, true), target_without({}), fuse_swiglu_quantize, &report);
  EXPECT_EQ(count(graph, "aten::_fused_swiglu_forward"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "its input is overwritten before the quantization");
}

}  // namespace
}  // namespace musaic
