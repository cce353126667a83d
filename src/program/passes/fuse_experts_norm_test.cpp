#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/experts_fp8/experts_fp8.h"
#include "ops/moe_combine/combine_norm_fp8.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseExpertsNorm : public PassesTest {
 protected:
  FuseExpertsNorm() {
    define_gpu_ops(registry_);
    for (const char* name :
         {"musaic::experts_fp8", "musaic::moe_combine_norm_quant_fp8", "musaic::experts_norm_quant_fp8"})
      names_.emplace_back(name);
  }

  enum Variant { kPlain, kShows, kOtherAddend };

  // kShows: the shared experts' result is an output too. kOtherAddend: something else is added in its place.
  Graph experts(Variant variant = kPlain) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const auto weight = [&](const char* name, DimShape shape) {
      return builder.weight({name}, DType::kF8E4M3, std::move(shape));
    };
    const auto scale = [&](const char* name, DimShape shape) {
      return builder.weight({name}, DType::kF32, std::move(shape));
    };
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    const Fp8Rows x = {builder.input("x", DType::kF8E4M3, {tokens, 256}),
                       builder.input("xs", DType::kF32, {tokens, 2})};
    const ExpertRows groups = {ints("row_token", {tokens * 2}), ints("token_row", {tokens, 2}),
                               ints("start", {8}), ints("count", {8})};
    const ExpertResults results = experts_fp8(
        x, groups,
        {weight("w", {8, 256, 256}), scale("ws", {8, 2, 2}), weight("s", {512, 256}), scale("ss", {4, 2})},
        {weight("d", {8, 256, 128}), scale("ds", {8, 2, 1}), weight("e", {256, 256}), scale("es", {2, 2})});
    const Value rows = tokens_by(builder, "rows", 256);
    const CombinedNormFp8 normed =
        moe_combine_norm_quant_fp8({.x = results.routed,
                                    .token_row = groups.token_row,
                                    .weights = builder.input("weights", DType::kF32, {tokens, 2}),
                                    .addend = variant == kOtherAddend ? rows : results.shared,
                                    .residual = add(rows, rows),
                                    .norm_weight = builder.weight({"n"}, DType::kBF16, {256}),
                                    .eps = 1e-5});
    builder.output("q", normed.rows.q);
    builder.output("scale", normed.rows.scale);
    builder.output("residual", normed.residual);
    if (variant == kShows) builder.output("shared", results.shared);
    return builder.take();
  }
};

TEST_F(FuseExpertsNorm, ExpertsAndTheirSumBecomeOneNode) {
  PassReport report;
  const Graph graph = run(experts(), target_without({}), fuse_experts_norm, &report);
  EXPECT_EQ(report.rewrites, 1);
  EXPECT_EQ(count(graph, "musaic::experts_norm_quant_fp8"), 1);
  EXPECT_EQ(count(graph, "musaic::experts_fp8") + count(graph, "musaic::moe_combine_norm_quant_fp8"), 0);
}

TEST_F(FuseExpertsNorm, ResultsThatOthersReadKeepThemApart) {
  for (Variant variant : {kShows, kOtherAddend}) {
    PassReport report;
    const Graph graph = run(experts(variant), target_without({}), fuse_experts_norm, &report);
    EXPECT_EQ(count(graph, "musaic::experts_fp8"), 1);
    ASSERT_EQ(report.left.size(), 1u);
    EXPECT_EQ(report.left[0].text, "what it combines is not made by one node, or read by others");
  }
}

TEST_F(FuseExpertsNorm, ADeviceWithoutTheOpKeepsThemApart) {
  const Graph graph = run(experts(), target_without({"musaic::experts_norm_quant_fp8"}), fuse_experts_norm);
  EXPECT_EQ(count(graph, "musaic::experts_fp8"), 1);
}

}  // namespace
}  // namespace musaic
