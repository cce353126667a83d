#include "ir/attributes.h"

#include <gtest/gtest.h>

#include <limits>

namespace musaic {
namespace {

TEST(Attributes, GiveBackWhatWasSet) {
  Attributes attributes = {{"n", int64_t{3}}, {"eps", 1e-5}, {"on", true}, {"mode", std::string("fast")}};
  attributes.set("n", int64_t{4});
  EXPECT_EQ(attributes.get_int("n"), 4);
  EXPECT_EQ(attributes.get_float("eps"), 1e-5);
  EXPECT_TRUE(attributes.get_bool("on"));
  EXPECT_EQ(attributes.get_string("mode"), "fast");
  EXPECT_TRUE(attributes.contains("n"));
  EXPECT_FALSE(attributes.contains("m"));
}

TEST(Attributes, NameTypeAndValueTellThemApart) {
  const Attributes attributes = {{"n", int64_t{1}}};
  EXPECT_EQ(attributes, (Attributes{{"n", int64_t{1}}}));
  EXPECT_FALSE(attributes == (Attributes{{"n", int64_t{2}}}));
  EXPECT_FALSE(attributes == (Attributes{{"n", 1.0}}));
  EXPECT_FALSE(attributes == (Attributes{{"m", int64_t{1}}}));
  EXPECT_FALSE(attributes == Attributes{});
}

TEST(Attributes, PrintInPythonsSpelling) {
  EXPECT_EQ(to_string(Attribute(int64_t{-3})), "-3");
  EXPECT_EQ(to_string(Attribute(1.0)), "1.0");
  EXPECT_EQ(to_string(Attribute(1e-5)), "1e-05");
  EXPECT_EQ(to_string(Attribute(std::numeric_limits<double>::infinity())), "inf");
  EXPECT_EQ(to_string(Attribute(true)), "True");
  EXPECT_EQ(to_string(Attribute(false)), "False");
  EXPECT_EQ(to_string(Attribute(std::string("fast"))), "'fast'");
  EXPECT_EQ(to_string(Attribute(std::vector<int64_t>{1, 2})), "[1, 2]");
}

TEST(Attributes, ADoublePrintsAllOfItsDigits) {
  for (double value : {0.1, 1.0 / 3, 1e300, 123456789.125, -2.5e-300})
    EXPECT_EQ(std::stod(to_string(Attribute(value))), value);
}

TEST(AttributesDeathTest, AMissingOneAndAWrongTypeAreNamed) {
  const Attributes attributes = {{"n", int64_t{1}}};
  EXPECT_DEATH(attributes.get_int("m"), "no attribute m");
  EXPECT_DEATH(attributes.get_float("n"), "attribute n has another type");
}

}  // namespace
}  // namespace musaic
