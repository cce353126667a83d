#include "formats/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "formats/test_files.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

TEST(ReadJsonFile, KeepsTheOrderOfKeys) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(read_json_file(folder.write("a.json", R"({"z":1,"a":[true,null]})")).dump(),
            R"({"z":1,"a":[true,null]})");
  EXPECT_EQ(read_large_json_file(folder.write("a.json", R"({"z":1,"a":2})")).dump(), R"({"a":2,"z":1})");
}

TEST(ReadJsonFile, AMistakeIsToldWithFileAndPlace) {
  const testing::TemporaryFolder folder;
  for (const char* text : {"", "{\"a\":\n 1,}", "{} x", "\"\xff\""}) {
    try {
      read_json_file(folder.write("bad.json", text));
      FAIL() << text;
    } catch (const LoadError& error) {
      EXPECT_THAT(error.what(), HasSubstr("bad.json: not valid JSON: parse error at line"));
    }
  }
  EXPECT_THROW(read_json_file(folder.path() / "absent.json"), LoadError);
}

}  // namespace
}  // namespace musaic
