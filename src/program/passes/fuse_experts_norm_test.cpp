#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/moe_combine/combine_norm_fp8.h"
#include "program/passes/experts_for_test.h"

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
    const ExpertsForTest experts(builder);
    const ExpertResults results = experts_fp8(experts.x, experts.groups, experts.gate_up, experts.down);
    const Value rows = tokens_by(builder, "rows", 256);
    const CombinedNormFp8 normed = moe_combine_norm_quant_fp8(
        {.x = results.routed,
         .token_row = experts.groups.token_row,
         .weights = builder.input("weights", DType::kF32, {Dim::symbol("tokens"), 2}),
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
