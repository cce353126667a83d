#include <gtest/gtest.h>

#include "ops/linear/linear.h"
#include "ops/moe_gate_route/moe_gate_route.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

constexpr const char* kFused = "musaic::add_norm_route_fp8";

class FuseNormRoute : public PassesTest {
 protected:
  FuseNormRoute() {
    define_gpu_ops(registry_);
    names_.emplace_back(kFused);
  }

  enum class Shown { kChoice, kLogits, kRows };

  // `shown`: an output beside the results in FP8.
  Graph routed(Shown shown = Shown::kChoice) {
    GraphBuilder builder(registry_, "g", {});
    const AddNormFp8 norm =
        add_rms_norm_quant_fp8(tokens_by(builder, "x", 256), tokens_by(builder, "residual", 256),
                               builder.weight({"w"}, DType::kBF16, {256}), 1e-5);
    const Value logits = linear(norm.normed, builder.weight({"router"}, DType::kBF16, {16, 256}));
    const RoutedChoice choice = moe_gate_route({.logits = logits, .top_k = 2});
    builder.output("q", norm.rows.q);
    builder.output("scale", norm.rows.scale);
    builder.output("residual", norm.residual);
    builder.output("weights", choice.weights);
    builder.output("token_row", choice.groups.token_row);
    if (shown == Shown::kLogits) builder.output("logits", logits);
    if (shown == Shown::kRows) builder.output("rows", norm.normed);
    return builder.take();
  }
};

TEST_F(FuseNormRoute, NormRouterAndChoiceAreOneNode) {
  const Graph graph = run(routed(), target_without({}), fuse_norm_route);
  EXPECT_EQ(count(graph, kFused), 1);
  EXPECT_EQ(graph.nodes.size(), 1u);
}

TEST_F(FuseNormRoute, LogitsThatAreReadElsewhereKeepTheParts) {
  const Graph graph = run(routed(Shown::kLogits), target_without({}), fuse_norm_route);
  EXPECT_EQ(count(graph, kFused), 0);
  EXPECT_EQ(count(graph, "musaic::moe_gate_route"), 1);
}

TEST_F(FuseNormRoute, RowsThatAreReadElsewhereKeepTheParts) {
  const Graph graph = run(routed(Shown::kRows), target_without({}), fuse_norm_route);
  EXPECT_EQ(count(graph, kFused), 0);
  EXPECT_EQ(count(graph, "musaic::moe_gate_route"), 1);
}

TEST_F(FuseNormRoute, ADeviceWithoutTheOpKeepsTheParts) {
  const Graph graph = run(routed(), target_without({kFused}), fuse_norm_route);
  EXPECT_EQ(count(graph, "musaic::moe_gate_route"), 1);
}

}  // namespace
}  // namespace musaic
