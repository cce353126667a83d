#include <gtest/gtest.h>

#include "ops/experts_fp8/experts_fp8.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class JoinExperts : public PassesTest {
 protected:
  JoinExperts() {
    define_gpu_ops(registry_);
    for (const char* name :
         {"musaic::experts_gate_up_fp8", "musaic::experts_down_fp8", "musaic::experts_fp8"})
      names_.emplace_back(name);
  }

  // `shows`: the rows between the linears are a result too.
  Graph experts(bool shows = false) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const auto weight = [&](const char* name, DimShape shape) {
      return builder.weight({name}, DType::kF8E4M3, std::move(shape));
    };
    const auto scale = [&](const char* name, DimShape shape) {
      return builder.weight({name}, DType::kF32, std::move(shape));
    };
    const auto ints = [&](const char* name, const Dim& count) {
      return builder.input(name, DType::kI32, {count});
    };
    const Fp8Rows x = {builder.input("x", DType::kF8E4M3, {tokens, 256}),
                       builder.input("xs", DType::kF32, {tokens, 2})};
    const ExpertRows groups = {ints("row_token", tokens * 2), {}, ints("start", 8), ints("count", 8)};
    const ExpertRowsFp8 rows = experts_gate_up_fp8(
        x, groups,
        {weight("w", {8, 256, 256}), scale("ws", {8, 2, 2}), weight("s", {512, 256}), scale("ss", {4, 2})});
    const ExpertResults results = experts_down_fp8(
        rows, groups,
        {weight("d", {8, 256, 128}), scale("ds", {8, 2, 1}), weight("e", {256, 256}), scale("es", {2, 2})});
    builder.output("routed", results.routed);
    builder.output("shared", results.shared);
    if (shows) builder.output("rows", rows.shared.scale);
    return builder.take();
  }
};

TEST_F(JoinExperts, BothLinearsBecomeOneNode) {
  PassReport report;
  const Graph graph = run(experts(), target_without({}), join_experts, &report);
  EXPECT_EQ(report.rewrites, 1);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, "musaic::experts_fp8");
}

TEST_F(JoinExperts, RowsThatOthersReadKeepThemApart) {
  PassReport report;
  const Graph graph = run(experts(/*shows=*/true), target_without({}), join_experts, &report);
  EXPECT_EQ(graph.nodes.size(), 2u);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "its rows are not made, or not read, by one node");
}

TEST_F(JoinExperts, ADeviceWithoutTheOpKeepsThemApart) {
  const Graph graph = run(experts(), target_without({"musaic::experts_fp8"}), join_experts);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

}  // namespace
}  // namespace musaic
