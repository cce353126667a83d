#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseCombineNorm : public PassesTest {
 protected:
  FuseCombineNorm() {
    define_gpu_ops(registry_);
    names_.emplace_back("musaic::moe_combine_norm_quant_fp8");
  }

  // `shows`: the normed rows are an output too.
  Graph combined(bool has_addend, bool shows = false) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const Value rows = builder.input("rows", DType::kF32, {tokens * 2, 256});
    const Value sum = moe_combine(rows, builder.input("token_row", DType::kI32, {tokens, 2}),
                                  builder.input("weights", DType::kF32, {tokens, 2}),
                                  has_addend ? tokens_by(builder, "shared", 256) : Value());
    const Value x = tokens_by(builder, "x", 256);
    const AddNormFp8 normed =
        add_rms_norm_quant_fp8(sum, add(x, x), builder.weight({"w"}, DType::kBF16, {256}), 1e-5);
    builder.output("q", normed.rows.q);
    builder.output("scale", normed.rows.scale);
    builder.output("residual", normed.residual);
    if (shows) builder.output("normed", normed.normed);
    return builder.take();
  }
};

TEST_F(FuseCombineNorm, TheSumOfExpertsIsMadeByTheNormThatReadsIt) {
  for (bool has_addend : {false, true}) {
    const Target target = target_without({});
    const Graph graph = run(run(combined(has_addend), target, fuse_combine_norm), target, remove_dead_code);
    EXPECT_EQ(count(graph, "musaic::moe_combine_norm_quant_fp8"), 1);
    EXPECT_EQ(count(graph, "musaic::moe_combine") + count(graph, "musaic::add_rms_norm_quant_fp8"), 0);
  }
}

TEST_F(FuseCombineNorm, NormedRowsThatAreReadInFloatKeepBoth) {
  PassReport report;
  const Graph graph = run(combined(true, /*shows=*/true), target_without({}), fuse_combine_norm, &report);
  EXPECT_EQ(count(graph, "musaic::moe_combine"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "the normed rows are read in float too");
}

TEST_F(FuseCombineNorm, ADeviceWithoutTheOpKeepsBoth) {
  const Graph graph =
      run(combined(true), target_without({"musaic::moe_combine_norm_quant_fp8"}), fuse_combine_norm);
  EXPECT_EQ(count(graph, "musaic::moe_combine"), 1);
}

}  // namespace
}  // namespace musaic
