#include "program/explain/roof.h"

#include <gmock/gmock.h>

#include "base/status.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

TEST(Roof, TheLongerOfBytesAndOperationsCounts) {
  const Roof roof{"r", 10.0, 100.0, 200.0};
  EXPECT_DOUBLE_EQ(roof.seconds(20.0, 100.0, 0.0), 2.0);
  EXPECT_DOUBLE_EQ(roof.seconds(20.0, 100.0, 400.0), 3.0) << "integers and floats do not run at once";
  EXPECT_TRUE(roof.waits_for_memory(20.0, 100.0, 0.0));
  EXPECT_FALSE(roof.waits_for_memory(20.0, 100.0, 400.0));
}

TEST(Roof, IsNamedOrGivenInGigabytesAndGigaflops) {
  EXPECT_EQ(parse_roof("h200").bytes_per_second, 4.8e12);
  const Roof own = parse_roof("38,300");
  EXPECT_EQ(own.bytes_per_second, 38e9);
  EXPECT_EQ(own.float_ops_per_second, 300e9);
  EXPECT_EQ(own.int8_ops_per_second, 300e9) << "as the floats";
  EXPECT_EQ(parse_roof("38,300,900.5").int8_ops_per_second, 900.5e9);
}

TEST(Roof, EveryUsualOneHasAName) {
  for (const char* device : {"cpu", "cuda", "musa", "simulated"})
    EXPECT_NO_THROW(parse_roof(usual_roof(device)));
}

TEST(Roof, AnUnknownOneIsAnsweredWithTheNames) {
  for (const char* text :
       {"h2000", "", "38", "38,", "38,-1", "38,0", "38,300,900,1", "38,nan", "38,1e999", "1;2"}) {
    try {
      parse_roof(text);
      ADD_FAILURE() << text;
    } catch (const LoadError& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr(std::string("roof ") + text + ": expected one of a100, h100, h200"));
    }
  }
}

}  // namespace
}  // namespace musaic
