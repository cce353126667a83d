#include "ops/moe_route/moe_route.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr int kExperts = 5;
// The last two tokens are pad rows: what they hold is no expert.
const std::vector<int32_t> kChoices = {3, 0, 0, 4, 3, 4, 0, 3, 1 << 30, -7, 99, 99};
constexpr int kTokens = 6, kTopK = 2, kLive = 4;

OpRun run_route(const char* layout) {
  return run_op(
      cpu_registry(),
      {.op = "musaic::moe_route",
       .inputs = {TestTensor::ints(kChoices, {kTokens, kTopK})},
       .attributes = {{"num_experts", int64_t{kExperts}}, {"layout", layout}, {"alignment", int64_t{4}}},
       .live_rows = kLive});
}

TEST(MoeRoute, GroupsTheChoicesOfLiveTokensByExpertInEveryLayout) {
  struct Case {
    const char* layout;
    std::vector<float> starts;
    int rows;
  };
  for (const Case& c : {Case{"compact", {0, 3, 3, 3, 6}, 12}, Case{"contiguous", {0, 4, 4, 4, 8}, 12 + 5 * 3},
                        Case{"masked", {0, 6, 12, 18, 24}, 30}}) {
    const OpRun run = run_route(c.layout);
    const std::vector<float> row_token = run.outputs[0].to_floats(), token_row = run.outputs[1].to_floats();
    EXPECT_EQ(static_cast<int>(row_token.size()), c.rows) << c.layout;
    EXPECT_EQ(run.outputs[2].to_floats(), c.starts) << c.layout;
    EXPECT_EQ(run.outputs[3].to_floats(), (std::vector<float>{3, 0, 0, 3, 2})) << c.layout;
    for (int i = 0; i < kLive * kTopK; ++i) {
      const int row = static_cast<int>(token_row[i]), expert = kChoices[i];
      EXPECT_EQ(row_token[row], i / kTopK) << c.layout;
      EXPECT_GE(row, c.starts[expert]) << c.layout;
      EXPECT_LT(row, c.starts[expert] + 3) << c.layout;
    }
    const auto first = static_cast<size_t>(c.starts[3]);
    EXPECT_EQ((std::vector<float>{row_token[first], row_token[first + 1], row_token[first + 2]}),
              (std::vector<float>{0, 2, 3}))
        << "in the order of tokens";
  }
}

// Every expert has some of `many` tokens, in an order that has no period.
void expect_order(int many) {
  constexpr int kPads = 48, kChoicesOfToken = 6, kManyExperts = 64;
  const int live = many - kPads;
  std::vector<int32_t> choices;
  for (int token = 0; token < many; ++token) {
    const int first = token * token % 61;
    for (int k = 0; k < kChoicesOfToken; ++k) choices.push_back((first + k * (1 + token % 7)) % kManyExperts);
  }
  std::vector<std::vector<float>> tokens(kManyExperts);
  for (int i = 0; i < live * kChoicesOfToken; ++i)
    tokens[static_cast<size_t>(choices[i])].push_back(static_cast<float>(i / kChoicesOfToken));
  for (const char* layout : {"compact", "contiguous", "masked"}) {
    const OpRun run =
        run_op(cpu_registry(), {.op = "musaic::moe_route",
                                .inputs = {TestTensor::ints(choices, {many, kChoicesOfToken})},
                                .attributes = {{"num_experts", int64_t{kManyExperts}}, {"layout", layout}},
                                .live_rows = live});
    const std::vector<float> row_token = run.outputs[0].to_floats(), start = run.outputs[2].to_floats(),
                             count = run.outputs[3].to_floats(), token_row = run.outputs[1].to_floats();
    for (size_t e = 0; e < kManyExperts; ++e) {
      const auto first = row_token.begin() + static_cast<int>(start[e]);
      ASSERT_EQ(count[e], static_cast<float>(tokens[e].size())) << layout << ", expert " << e;
      EXPECT_EQ(std::vector<float>(first, first + static_cast<int>(count[e])), tokens[e]) << layout;
    }
    for (int i = 0; i < live * kChoicesOfToken; ++i) {
      const float row = token_row[i], first = start[static_cast<size_t>(choices[i])];
      ASSERT_EQ(row_token[static_cast<size_t>(row)], static_cast<float>(i / kChoicesOfToken)) << layout;
      ASSERT_TRUE(row >= first && row < first + count[static_cast<size_t>(choices[i])]) << layout;
    }
  }
}

// Many more than a block of threads places, of one word of tokens and of four.
TEST(MoeRoute, ManyTokensStayInTheirOrder) {
  expect_order(2048);
  expect_order(4500);
}

TEST(MoeRoute, PadRowsAloneTouchNoExpert) {
  const OpRun run = run_op(cpu_registry(), {.op = "musaic::moe_route",
                                            .inputs = {TestTensor::ints({77, -1, 5, 5}, {2, 2})},
                                            .attributes = {{"num_experts", int64_t{3}}},
                                            .live_rows = 0});
  EXPECT_EQ(run.outputs[3].to_floats(), (std::vector<float>{0, 0, 0}));
}

TEST(MoeRouteFake, TheNumberOfRowsIsAnExpressionOfTheTokens) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Value experts = builder.input("experts", DType::kI32, {Dim::symbol("tokens"), 2});
  EXPECT_EQ(to_string(moe_route(experts, 8).row_token.meta().shape), "[tokens * 2]");
  EXPECT_EQ(to_string(moe_route(experts, 8, ExpertLayout::kMasked).row_token.meta().shape), "[tokens * 8]");
  const Dim rows = moe_route(experts, 8, ExpertLayout::kContiguous).row_token.dim(0);
  EXPECT_EQ(rows.evaluate({{"tokens", 3}}), 6 + 6 * 127);
  EXPECT_EQ(rows.evaluate({{"tokens", 100}}), 200 + 8 * 127);
  EXPECT_THROW(moe_route(experts, 1), LoadError);
}

}  // namespace
}  // namespace musaic::testing
