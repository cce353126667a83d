#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/empty/empty.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/grouped_swiglu/grouped_swiglu.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_route/moe_route.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/swiglu/swiglu.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseExperts : public PassesTest {
 protected:
  FuseExperts() {
    define_gpu_ops(registry_);
    names_.emplace_back("musaic::experts_gate_up_fp8");
    names_.emplace_back("musaic::experts_down_fp8");
  }

  // Routed experts, and shared ones `width` wide if there are any; `shows`: their quantized rows are read by
  // another linear too.
  Graph experts(int64_t width, bool shows = false) {
    GraphBuilder builder(registry_, "g", {});
    const Fp8Rows x = quantize_fp8(tokens_by(builder, "x", 256));
    const ExpertChoice choice = moe_gate({.logits = tokens_by(builder, "logits", 8), .top_k = 2});
    const ExpertRows groups = moe_route(choice.experts, 8);
    const Value both = grouped_linear_fp8(x, groups, true, f8_weight(builder, "w", {8, 256, 256}),
                                          f32_weight(builder, "ws", {8, 2, 2}), 2);
    const Value down =
        grouped_linear_fp8(grouped_swiglu_quant_fp8(both, groups), groups, false,
                           f8_weight(builder, "d", {8, 256, 128}), f32_weight(builder, "ds", {8, 2, 1}));
    const Value routed = moe_combine(down, groups.token_row, choice.weights);
    if (width == 0) {
      builder.output("y", routed);
      return builder.take();
    }
    const int64_t blocks = width / 128;
    const Value shared =
        linear_fp8(x, f8_weight(builder, "s", {2 * width, 256}), f32_weight(builder, "ss", {2 * blocks, 2}));
    silu(fused_swiglu(shared));  // which passes before have left without a reader
    const auto [q, scale] = per_token_group_quant({.input = shared,
                                                   .output_q = empty_rows_of(shared, width, DType::kF8E4M3),
                                                   .output_s = empty_rows_of(shared, blocks, DType::kF32),
                                                   .fuse_silu_and_mul = true});
    const auto down_of = [&](const char* name, const char* scale_name) {
      return linear_fp8({q, scale}, f8_weight(builder, name, {256, width}),
                        f32_weight(builder, scale_name, {2, blocks}));
    };
    builder.output("y", add(routed, down_of("sd", "sds")));
    if (shows) builder.output("z", down_of("other", "others"));
    return builder.take();
  }
};

TEST_F(FuseExperts, RoutedAndSharedExpertsBecomeTwoNodes) {
  PassReport report;
  const Target target = target_without({});
  const Graph graph = run(run(experts(256), target, fuse_experts, &report), target, remove_dead_code);
  EXPECT_EQ(report.rewrites, 2);
  EXPECT_EQ(count(graph, "musaic::experts_gate_up_fp8"), 1);
  EXPECT_EQ(count(graph, "musaic::experts_down_fp8"), 1);
  for (const char* op :
       {"musaic::grouped_linear_fp8", "musaic::grouped_swiglu_quant_fp8", "musaic::linear_fp8"})
    EXPECT_EQ(count(graph, op), 0) << op;
  EXPECT_EQ(count(graph, "sgl_kernel::sgl_per_token_group_quant_8bit_v2"), 1);  // of x
}

TEST_F(FuseExperts, WithoutSharedExpertsTheRoutedOnesStay) {
  PassReport report;
  const Graph graph = run(experts(0), target_without({}), fuse_experts, &report);
  EXPECT_EQ(count(graph, "musaic::grouped_linear_fp8"), 2);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "no shared experts of the same rows");
}

TEST_F(FuseExperts, SharedRowsThatOthersReadKeepAllApart) {
  const Graph graph = run(experts(256, /*shows=*/true), target_without({}), fuse_experts);
  EXPECT_EQ(count(graph, "musaic::experts_gate_up_fp8"), 0);
}

TEST_F(FuseExperts, ADeviceWithoutOneOfTheOpsKeepsAllApart) {
  PassReport report;
  const Graph graph = run(experts(256), target_without({"musaic::experts_down_fp8"}), fuse_experts, &report);
  EXPECT_EQ(count(graph, "musaic::experts_gate_up_fp8"), 0);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "cpu has no musaic::experts_down_fp8 for these sizes");
}

}  // namespace
}  // namespace musaic
