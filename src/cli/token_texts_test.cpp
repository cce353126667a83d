#include "cli/token_texts.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/status.h"

namespace musaic {
namespace {

class TokenTexts : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& content) {
    const auto path = std::filesystem::path(::testing::TempDir()) / "token_texts_test.json";
    std::ofstream(path) << content;
    return path;
  }
  std::string error_of(const std::string& content) {
    try {
      read_recorded_texts(write(content));
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(TokenTexts, ReadsRecordedSequencesWithTheirLogprobs) {
  const auto texts = read_recorded_texts(
      write(R"([{"name": "a", "ids": [3, 1, 2], "token_logprobs": [-0.5, -1.25]}, {"ids": [7]}])"));
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].name, "a");
  EXPECT_EQ(texts[0].ids, (std::vector<TokenId>{3, 1, 2}));
  EXPECT_EQ(texts[0].token_logprobs, (std::vector<float>{-0.5f, -1.25f}));
  EXPECT_EQ(texts[1].name, "sequence 1");
  EXPECT_TRUE(texts[1].token_logprobs.empty());
}

TEST_F(TokenTexts, RefusesSequencesWithoutIds) {
  EXPECT_NE(error_of("{}").find("expected a list of sequences"), std::string::npos);
  EXPECT_NE(error_of(R"([{"text": "x"}])").find("sequence 0 has no ids"), std::string::npos);
  EXPECT_NE(error_of(R"([{"ids": []}])").find("expected ids of at least 0, got []"), std::string::npos);
  EXPECT_NE(error_of(R"([{"ids": [1, -4]}])").find("got [1,-4]"), std::string::npos);
  EXPECT_NE(error_of(R"([{"ids": "x"}])").find("sequence 0"), std::string::npos);
}

}  // namespace
}  // namespace musaic
