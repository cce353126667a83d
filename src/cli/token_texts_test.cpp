#include "cli/token_texts.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "formats/test_files.h"

namespace musaic {
namespace {

class TokenTexts : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& content) { return folder_.write("texts.json", content); }
  std::string error_of(const std::string& content) {
    try {
      read_recorded_texts(write(content));
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  }

  testing::TemporaryFolder folder_;  // of its own: tests run side by side
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

// A token for each printable character and for the line feed (U+010A in the byte-level alphabet).
Tokenizer character_tokenizer() {
  TokenizerData data;
  data.pre_tokenizer = "gpt2";
  for (char c = '!'; c <= '~'; ++c) data.tokens.emplace_back(1, c);
  data.tokens.emplace_back("\xC4\xA0");
  data.tokens.emplace_back("\xC4\x8A");
  data.types.assign(data.tokens.size(), TokenizerData::TokenType::kNormal);
  return Tokenizer(std::move(data));
}

TEST_F(TokenTexts, CutsQuestionsAndAnswersIntoSequencesOfTheContext) {
  const Tokenizer tokenizer = character_tokenizer();
  const auto path = write(R"({"question": "1+1?", "answer": "2"})"
                          "\n\n"
                          R"({"question": "2+2?", "answer": "4"})"
                          "\n");
  const std::string text = "Question: 1+1?\nAnswer: 2\n\nQuestion: 2+2?\nAnswer: 4\n\n";
  const auto texts = read_question_texts(path, tokenizer, 30, 20);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(tokenizer.decode(texts[0].ids), text.substr(0, 20));
  EXPECT_EQ(tokenizer.decode(texts[1].ids), text.substr(20, 10));
  size_t all = 0;
  for (const TokenText& sequence : read_question_texts(path, tokenizer, 1000, 16)) all += sequence.ids.size();
  EXPECT_EQ(all, text.size());
}

TEST_F(TokenTexts, NamesTheLineThatIsNoQuestion) {
  const auto path = write("{\"question\": \"a\", \"answer\": \"b\"}\n{\"question\": 3}\n");
  try {
    read_question_texts(path, character_tokenizer(), 1000, 16);
    FAIL() << "accepted";
  } catch (const LoadError& error) {
    EXPECT_NE(std::string(error.what()).find("line 2: expected an object"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace musaic
