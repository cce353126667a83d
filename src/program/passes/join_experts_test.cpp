#include <gtest/gtest.h>

#include "program/passes/experts_for_test.h"

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
    const ExpertsForTest experts(builder);
    const ExpertRowsFp8 rows = experts_gate_up_fp8(experts.x, experts.groups, experts.gate_up);
    const ExpertResults results = experts_down_fp8(rows, experts.groups, experts.down);
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
