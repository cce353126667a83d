#include "server/json_text.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

// What nlohmann's parser, which the rest of the program knows, makes of the same text.
TEST(ParseBody, GivesWhatNlohmannGives) {
  const char* const texts[] = {
      R"({})",
      R"({"input_ids":[1,2,102399],"sampling_params":{"max_new_tokens":1,"temperature":0}})",
      R"({"n":[0,-0,-1,2147483647,-2147483648,9223372036854775807,-9223372036854775808]})",
      R"({"n":[9223372036854775808,18446744073709551615]})",
      R"({"n":[18446744073709551616,-9223372036854775809,1e400000000]})",
      R"({"n":[0.1,-0.0,1e3,1E-7,2.2250738585072014e-308,5e-324,1.7976931348623157e308]})",
      R"({"b":[true,false,null],"o":{"a":{},"b":[]},"e":""})",
      R"({"s":"\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00 é€😀 \u0000"})",
      R"({"twice":1,"other":2,"twice":3})",
      " \n\t{ \"a\" :\r[ 1 , [ ] ] } ",
  };
  for (const char* text : texts) {
    SCOPED_TRACE(text);
    Json expected;
    try {
      expected = Json::parse(text);
    } catch (const Json::exception&) {
      EXPECT_TRUE(std::holds_alternative<ApiError>(parse_body(text)));
      continue;
    }
    const auto parsed = parse_body(text);
    ASSERT_TRUE(std::holds_alternative<Json>(parsed));
    const Json& value = std::get<Json>(parsed);
    EXPECT_EQ(value.dump(), expected.dump());                  // order of keys, every digit
    EXPECT_EQ(Json::to_cbor(value), Json::to_cbor(expected));  // types of numbers
  }
}

TEST(ParseBody, SaysWhereABrokenTextIsBroken) {
  for (const char* text : {R"({"a":1)", R"({"a":01})", R"({"a":1}x)", R"({"a":"\x"})", "{\"a\":\"\xff\"}",
                           "{\"a\":\"\n\"}", R"({"a":[1,]})", R"({"s":"\ud800"})"}) {
    SCOPED_TRACE(text);
    const auto parsed = parse_body(text);
    ASSERT_TRUE(std::holds_alternative<ApiError>(parsed));
    EXPECT_NE(std::get<ApiError>(parsed).message.find("the body is not valid JSON: parse error at line"),
              std::string::npos)
        << std::get<ApiError>(parsed).message;
  }
}

}  // namespace
}  // namespace musaic
