#include "ops/moe_gate/moe_gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

struct Gate {
  int top_k, groups, top_groups;
  bool renormalize;
  double scale;

  Attributes attributes() const {
    return {{"top_k", int64_t{top_k}},
            {"num_groups", int64_t{groups}},
            {"top_groups", int64_t{top_groups}},
            {"renormalize", renormalize},
            {"scale", scale}};
  }
};

OpRun run_gate(const TestTensor& logits, const Gate& gate, int live) {
  return check_op(
      cpu_registry(),
      {.op = "musaic::moe_gate", .inputs = {logits}, .attributes = gate.attributes(), .live_rows = live});
}

// Experts by falling score: of the groups whose best one is best, and then of all of them.
std::vector<int> best_experts(const std::vector<float>& logits, const Gate& gate) {
  const int size = static_cast<int>(logits.size()) / gate.groups;
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  std::vector<int> groups, experts;
  for (int expert : order) {
    const int group = expert / size;
    const bool is_known = std::find(groups.begin(), groups.end(), group) != groups.end();
    if (!is_known && static_cast<int>(groups.size()) == gate.top_groups) continue;
    if (!is_known) groups.push_back(group);
    experts.push_back(expert);
  }
  experts.resize(static_cast<size_t>(gate.top_k));
  return experts;
}

TEST(MoeGate, ChoosesTheBestExpertsBySoftmax) {
  constexpr int kRows = 6, kLive = 5, kExperts = 24;
  for (const Gate& gate : {Gate{6, 1, 1, false, 1.0}, Gate{3, 1, 1, true, 2.0}, Gate{4, 6, 2, false, 16.0},
                           Gate{5, 4, 3, true, 1.0}}) {
    TestTensor logits = TestTensor::random(DType::kF32, {kRows, kExperts}, 11, 3, kExperts + 5);
    logits.poison_rows(kLive);
    const OpRun run = run_gate(logits, gate, kLive);
    for (int row = 0; row < kLive; ++row) {
      const std::vector<float> x = logits.row(row);
      const std::vector<int> expected = best_experts(x, gate);
      const std::vector<float> experts = run.outputs[1].row(row), weights = run.outputs[0].row(row);
      double all = 0, chosen = 0;
      for (float logit : x) all += std::exp(double{logit});
      for (int expert : expected) chosen += std::exp(double{x[expert]});
      for (int k = 0; k < gate.top_k; ++k) {
        EXPECT_EQ(experts[k], expected[k]) << "row " << row << ", choice " << k;
        const double score = std::exp(double{x[expected[k]]}) / (gate.renormalize ? chosen : all);
        EXPECT_NEAR(weights[k], gate.scale * score, 1e-6 * gate.scale);
      }
    }
  }
}

TEST(MoeGate, OfEqualsTheFirstIsTakenAndTinyScoresStayApart) {
  const std::vector<float> logits = {0, 5, 5, -200, 5, -100};
  const OpRun run = run_gate(TestTensor::floats(logits, {1, 6}),
                             {.top_k = 5, .groups = 1, .top_groups = 1, .renormalize = false, .scale = 1}, 1);
  EXPECT_EQ(run.outputs[1].row(0), (std::vector<float>{1, 2, 4, 0, 5}));
}

TEST(MoeGateFake, MoreChoicesThanExpertsAreRefused) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Value logits = builder.input("logits", DType::kF32, {Dim::symbol("tokens"), 8});
  EXPECT_EQ(to_string(moe_gate({.logits = logits, .top_k = 2}).experts.meta()), "i32[tokens, 2] cpu");
  EXPECT_THROW(moe_gate({.logits = logits, .top_k = 9}), LoadError);
  EXPECT_THROW(moe_gate({.logits = logits, .top_k = 3, .num_groups = 4, .top_groups = 1}), LoadError);
  EXPECT_THROW(moe_gate({.logits = logits, .top_k = 1, .num_groups = 3}), LoadError);
}

}  // namespace
}  // namespace musaic::testing
