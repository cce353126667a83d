#include "tensor/dim.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

const Dim kTokens = Dim::symbol("tokens");
const Dim kPages = Dim::symbol("pages");

std::string text_of(const Dim& dim) {
  return to_string(dim);
}

TEST(Dim, ExpressionsOfNumbersFoldWhenBuilt) {
  EXPECT_EQ((Dim(3) + Dim(4)).constant(), 7);
  EXPECT_EQ((Dim(3) - Dim(4)).constant(), -1);
  EXPECT_EQ((Dim(3) * Dim(4)).constant(), 12);
  EXPECT_EQ(ceil_div(Dim(33), Dim(16)).constant(), 3);
  EXPECT_EQ(round_up(Dim(33), Dim(16)).constant(), 48);
  EXPECT_EQ(min(Dim(3), Dim(4)).constant(), 3);
}

TEST(Dim, NeutralElementsDisappear) {
  EXPECT_EQ(kTokens + Dim(0), kTokens);
  EXPECT_EQ(Dim(0) + kTokens, kTokens);
  EXPECT_EQ(kTokens - Dim(0), kTokens);
  EXPECT_EQ(kTokens - kTokens, Dim(0));
  EXPECT_EQ(kTokens * Dim(1), kTokens);
  EXPECT_EQ(Dim(1) * kTokens, kTokens);
  EXPECT_EQ(kTokens * Dim(0), Dim(0));
  EXPECT_EQ(ceil_div(kTokens, Dim(1)), kTokens);
  EXPECT_EQ(round_up(kTokens, Dim(1)), kTokens);
  EXPECT_EQ(min(kTokens, kTokens), kTokens);
}

TEST(Dim, DivisionRoundsUpAtEachBorderAndBelowZero) {
  const Dim blocks = ceil_div(kTokens, Dim(16));
  const std::map<int64_t, int64_t> expected = {{-17, -1}, {-16, -1}, {-1, 0}, {0, 0},
                                               {1, 1},    {15, 1},   {16, 1}, {17, 2}};
  for (const auto& [value, quotient] : expected) {
    EXPECT_EQ(blocks.evaluate({{"tokens", value}}), quotient) << value;
    EXPECT_EQ(round_up(kTokens, Dim(16)).evaluate({{"tokens", value}}), 16 * quotient) << value;
  }
}

TEST(Dim, EvaluationBindsEverySymbol) {
  const Dim dim = min(kTokens * Dim(3) + kPages, round_up(kTokens - Dim(1), Dim(8)) * kPages);
  EXPECT_EQ(dim.evaluate({{"tokens", 10}, {"pages", 5}}), 35);
  EXPECT_EQ(dim.evaluate({{"tokens", 10}, {"pages", 2}}), 32);
}

TEST(Dim, OnlyEqualExpressionsAreEqual) {
  EXPECT_EQ(kTokens * Dim(2) + kPages, Dim::symbol("tokens") * Dim(2) + Dim::symbol("pages"));
  EXPECT_FALSE(kTokens == kPages);
  EXPECT_FALSE(kTokens == Dim(4));
  EXPECT_FALSE(Dim(4) == kTokens);
  EXPECT_FALSE(kTokens + Dim(1) == kTokens + Dim(2));
  EXPECT_FALSE(ceil_div(kTokens, Dim(2)) == round_up(kTokens, Dim(2)));
}

TEST(Dim, ABareSymbolHasAName) {
  EXPECT_EQ(kTokens.symbol_name(), "tokens");
  EXPECT_EQ((kTokens + Dim(1)).symbol_name(), std::nullopt);
  EXPECT_EQ(Dim(3).symbol_name(), std::nullopt);
}

TEST(Dim, PrintsWithTheParenthesesThatItNeeds) {
  EXPECT_EQ(text_of((kTokens + Dim(1)) * Dim(2)), "(tokens + 1) * 2");
  EXPECT_EQ(text_of(kTokens - (kPages - Dim(1))), "tokens - (pages - 1)");
  EXPECT_EQ(text_of(ceil_div(kTokens + Dim(1), Dim(16)) * kPages), "ceil_div(tokens + 1, 16) * pages");
  EXPECT_EQ(text_of(Dim(-3)), "-3");
}

TEST(Dim, ParseReadsWhatIsPrinted) {
  const Dim dims[] = {Dim(0),
                      Dim(-3),
                      kTokens,
                      kTokens + Dim(-3),
                      kTokens - Dim(-3),
                      kTokens - (kPages - Dim(1)) - Dim(7),
                      (kTokens + kPages) * (kTokens - Dim(1)),
                      ceil_div(kTokens + Dim(15), kPages * Dim(16)),
                      min(round_up(kTokens, Dim(16)), Dim(512)) + Dim::symbol("_x1")};
  for (const Dim& dim : dims) {
    const auto parsed = Dim::parse(to_string(dim));
    ASSERT_TRUE(parsed.has_value()) << to_string(dim);
    EXPECT_EQ(*parsed, dim) << to_string(dim);
  }
}

TEST(Dim, ProductsBindTighterThanSumsAndBothFromTheLeft) {
  EXPECT_EQ(Dim::parse("1 + 2*3"), Dim(7));
  EXPECT_EQ(Dim::parse("10 - 3 - 2"), Dim(5));
  EXPECT_EQ(Dim::parse(" ( 1 + 2 ) * 3 "), Dim(9));
  EXPECT_EQ(Dim::parse("tokens+pages"), kTokens + kPages);
}

TEST(Dim, TextThatIsNoExpressionDoesNotParse) {
  for (const char* text : {"",
                           " ",
                           "+",
                           "tokens +",
                           "tokens pages",
                           "(tokens",
                           "tokens)",
                           "3x",
                           "--3",
                           "-",
                           "-tokens",
                           "tokens / 2",
                           "max(tokens, 1)",
                           "min(tokens)",
                           "min(tokens, 1, 2)",
                           "min(tokens, 1",
                           "ceil_div(tokens, 0)",
                           "round_up(4, 0)",
                           "ceil_div(4, -2)",
                           "99999999999999999999"}) {
    EXPECT_EQ(Dim::parse(text), std::nullopt) << text;
  }
}

TEST(Dim, RowMajorStridesStaySymbolic) {
  EXPECT_EQ(contiguous_strides({kTokens, 4, 8}), (DimShape{32, 8, 1}));
  EXPECT_EQ(to_string(contiguous_strides({4, kTokens, 8})), "[tokens * 8, 8, 1]");
  EXPECT_EQ(contiguous_strides({}), DimShape{});
}

TEST(Dim, ElementsAreTheProductOfAShape) {
  EXPECT_EQ(elements({kTokens, 4, 8}).evaluate({{"tokens", 3}}), 96);
  EXPECT_EQ(elements({}), Dim(1));
}

TEST(Dim, AShapePrintsInBrackets) {
  EXPECT_EQ(to_string(DimShape{kTokens + Dim(1), 576}), "[tokens + 1, 576]");
  EXPECT_EQ(to_string(DimShape{}), "[]");
}

TEST(DimDeathTest, AnUnboundSymbolAndAWrongConstantAreNamed) {
  EXPECT_DEATH(kTokens.evaluate({{"pages", 1}}), "dimension tokens is not bound");
  EXPECT_DEATH((kTokens + Dim(1)).constant(), "tokens \\+ 1 is no constant");
  EXPECT_DEATH(ceil_div(Dim(4), Dim(0)), "4 divided by 0");
}

}  // namespace
}  // namespace musaic
