// Every pass against the graph it was given: both run on the same random data.
#include <gmock/gmock.h>

#include <set>

#include "ops/add/add.h"
#include "ops/kv_write/kv_write.h"
#include "ops/linear/linear.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/swiglu/swiglu.h"
#include "ops/view/view.h"
#include "program/passes/pass.h"
#include "program/run_graph_for_test.h"

namespace musaic {
namespace {

using testing::IsEmpty;

constexpr int kHidden = 64, kTokens = 7, kLive = 5;

GraphOnRandomData make_runner() {
  return GraphOnRandomData(
      {{"tokens", kTokens}, {"pages", 4}},
      {{"num_tokens", HostTensor::ints({kLive})}, {"slots", HostTensor::ints({3, 17, 18, 0, 40, 41, 42})}});
}

Value projection(GraphBuilder& builder, Value x, const std::string& name, DType dtype, int64_t out) {
  return linear(x, builder.weight({name}, dtype, {out, x.dim(1).constant()}));
}

// A decoder layer without attention: norm, q k v, rotation, cache, residual, norm, SwiGLU, residual, norm.
Graph layer(const OpRegistry& registry, DType dtype) {
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  builder.input("num_tokens", DType::kI32, {1});
  const Value slots = builder.input("slots", DType::kI32, {tokens});
  const Value cos_sin = builder.input("cos_sin", DType::kF32, {tokens, 16});
  const Value input = builder.input("x", DType::kF32, {tokens, kHidden});
  const auto norm = [&](const char* name) { return builder.weight({name}, DType::kF32, {kHidden}); };

  const Value x = add(input, input);
  const Value normed = rms_norm(x, norm("norm1"), 1e-5);
  const Value query = rope_(projection(builder, normed, "q", dtype, 64), cos_sin, 16);
  const Value key = rope_(projection(builder, normed, "k", dtype, 32), cos_sin, 16);
  const Value value = projection(builder, normed, "v", dtype, 32);
  kv_write(key, value, slots, builder.state("keys", DType::kF16, {Dim::symbol("pages"), 2, 16, 16}),
           builder.state("values", DType::kF16, {Dim::symbol("pages"), 2, 16, 16}));
  const Value h = add(x, projection(builder, query, "o", dtype, kHidden));
  const Value post = rms_norm(h, norm("norm2"), 1e-5);
  const Value gate = silu(projection(builder, post, "gate", dtype, 96));
  const Value product = mul(gate, projection(builder, post, "up", dtype, 96));
  const Value sum = add(h, projection(builder, product, "down", dtype, kHidden));
  builder.output("y", add(sum, rms_norm(sum, norm("norm3"), 1e-5)));
  return builder.take();
}

int total_rewrites(const std::vector<PassReport>& reports) {
  int rewrites = 0;
  for (const PassReport& report : reports) rewrites += report.rewrites;
  return rewrites;
}

class PassesOnData : public testing::TestWithParam<DType> {};

TEST_P(PassesOnData, NoPassChangesABitOfWhatTheGraphBeforeItGives) {
  GraphOnRandomData runner = make_runner();
  Graph graph = layer(runner.registry(), GetParam());
  for (const Pass& pass : passes_for(/*quantize=*/true)) {
    const Graph before = graph;
    const auto reports = run_passes(graph, runner.target(), {&pass, 1}, {});
    const bool rounds = std::string_view(pass.name) == "quantize_linear" && total_rewrites(reports) > 0;
    if (rounds) continue;
    EXPECT_THAT(runner.differences(before, graph), IsEmpty()) << pass.name;
  }
}

TEST_P(PassesOnData, EachPassAloneIsRightToo) {
  GraphOnRandomData runner = make_runner();
  const Graph traced = layer(runner.registry(), GetParam());
  runner.run(traced);
  for (const Pass& pass : passes_for(/*quantize=*/false)) {
    Graph graph = traced;
    run_passes(graph, runner.target(), {&pass, 1}, {});
    EXPECT_THAT(runner.differences(traced, graph), IsEmpty()) << pass.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, PassesOnData,
                         testing::Values(DType::kF32, DType::kBF16, DType::kQ4_1, DType::kQ8_0),
                         [](const auto& info) { return std::string(name(info.param)); });

// The passes that fire on the layer are those that the comparison above is about.
TEST(PassesOnDataCover, EveryRewritingPassOfTheIntegerPathFiresOnTheLayer) {
  GraphOnRandomData runner = make_runner();
  Graph graph = layer(runner.registry(), DType::kQ4_1);
  for (const PassReport& report : run_passes(graph, runner.target(), passes_for(true), {})) {
    const std::set<std::string> need_a_gpu = {
        "fuse_linear_add", "fuse_norm_linear",       "fuse_rope_attention",  "fuse_combine_norm",
        "fuse_experts",    "fuse_norm_latent_write", "fuse_absorbed_values", "fuse_expanded_quantize",
        "fuse_norm_route", "round_linear",           "fuse_attention_out",   "join_experts",
        "fuse_mla_decode", "fuse_experts_norm"};
    const std::set<std::string> need_experts = {"fuse_moe", "fuse_norm_quant_fp8"};  // fuse_moe_test has them
    const bool has_nothing = report.name == "fold_views" || report.name == "find_equal_pieces" ||
                             need_a_gpu.contains(report.name) || need_experts.contains(report.name);
    EXPECT_EQ(report.rewrites > 0, !has_nothing) << report.name;
  }
}

// Rounding activations to 8 bits moves the output by little: q has 127 steps, and errors of 64 terms average
// out.
TEST(PassesOnDataCover, QuantizedLinearsStayNearTheFloatOnes) {
  GraphOnRandomData runner = make_runner();
  GraphBuilder builder(runner.registry(), "g", {});
  builder.input("num_tokens", DType::kI32, {1});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), kHidden});
  builder.output("y", projection(builder, x, "w", DType::kQ8_0, 32));
  const Graph before = builder.take();
  Graph after = before;
  const Pass pass{"quantize_linear", quantize_linear};
  ASSERT_EQ(run_passes(after, runner.target(), {&pass, 1}, {})[0].rewrites, 1);
  const auto exact = runner.run(before).at("y"), rounded = runner.run(after).at("y");
  double error = 0, norm = 0;
  for (int row = 0; row < kLive; ++row) {
    for (size_t k = 0; k < 32; ++k) {
      const double difference = exact.row(row)[k] - rounded.row(row)[k];
      error += difference * difference;
      norm += static_cast<double>(exact.row(row)[k]) * exact.row(row)[k];
    }
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 1e-4 * norm);
}

TEST(PassesOnDataCover, FoldedViewsReadTheSameNumbers) {
  GraphOnRandomData runner = make_runner();
  GraphBuilder builder(runner.registry(), "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 64});
  const Value a = slice(slice(x, 1, 16, 64), 1, 8, 24);
  const Value b = merge_last_dims(split_last_dim(slice(x, 1, 0, 16), 4));
  builder.output("y", add(a, b));
  Graph folded = builder.graph();
  const Pass pass{"fold_views", fold_views};
  ASSERT_EQ(run_passes(folded, runner.target(), {&pass, 1}, {})[0].rewrites, 2);
  EXPECT_THAT(runner.differences(builder.graph(), folded), IsEmpty());
}

TEST(PassesOnDataCover, TheSeedsQuantizationWithSiluAndMulHasTheBitsOfTheTwoApart) {
  GraphOnRandomData runner = make_runner();
  for (DType output : {DType::kF8E4M3, DType::kI8}) {
    GraphBuilder builder(runner.registry(), "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const Value x = builder.input("x", DType::kBF16, {tokens, 256});
    per_token_group_quant({.input = fused_swiglu(x),
                           .output_q = builder.state("q", output, {tokens, 128}),
                           .output_s = builder.state("s", DType::kF32, {tokens, 4}),
                           .group_size = 32,
                           .min = output == DType::kI8 ? -128.0 : -448.0,
                           .max = output == DType::kI8 ? 127.0 : 448.0,
                           .scale_ue8m0 = output == DType::kF8E4M3});
    Graph fused = builder.graph();
    const Pass pass{"fuse_swiglu_quantize", fuse_swiglu_quantize};
    ASSERT_EQ(run_passes(fused, runner.target(), {&pass, 1}, {})[0].rewrites, 1);
    EXPECT_THAT(runner.differences(builder.graph(), fused), IsEmpty());
  }
}

}  // namespace
}  // namespace musaic
