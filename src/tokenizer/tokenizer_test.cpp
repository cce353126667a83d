#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "base/status.h"
#include "formats/json.h"
#include "tokenizer/tokenizer_files.h"

namespace musaic {
namespace {

using Ids = std::vector<TokenId>;

std::filesystem::path data_folder() {
  return std::filesystem::path(MUSAIC_TEST_DATA) / "tokenizer";
}

Tokenizer load(const std::string& name) {
  return Tokenizer(tokenizer_data_from_hf(data_folder() / name));
}

class SmallTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(SmallTokenizer, AnswersAsHuggingFacesLibraryDoes) {
  const Tokenizer tokenizer = load(GetParam());
  const Json cases = read_json_file(data_folder() / GetParam() / "expected.json");
  ASSERT_GT(cases.size(), 100u);
  for (const Json& expected : cases) {
    const auto text = expected["text"].get<std::string>();
    SCOPED_TRACE(testing::PrintToString(text));
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(ids, expected["ids"].get<Ids>());
    EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = false}),
              expected["ids_without_added"].get<Ids>());
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = false, .add_special_tokens = false}),
              expected["ids_plain"].get<Ids>());
    EXPECT_EQ(tokenizer.decode(ids, false), expected["decoded"].get<std::string>());
    EXPECT_EQ(tokenizer.decode(ids, true), expected["decoded_skipping"].get<std::string>());
  }
}

TEST_P(SmallTokenizer, AnswersTheSameASecondTime) {
  // A word is tried by merging once and looked up afterwards.
  const Tokenizer tokenizer = load(GetParam());
  const std::string text = "Janet sells 16 duck eggs a day. Janet's ducks lay eggs every day.";
  const Ids first = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.encode(text), first);
}

TEST_P(SmallTokenizer, KeepsIllFormedBytesThatHaveTokens) {
  const Tokenizer tokenizer = load(GetParam());
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    const int size = static_cast<int>(random() % 40);
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(random() % 256);
    std::string expected;
    for (const char byte : bytes) {
      if (!tokenizer.encode(std::string(1, byte), {.add_special_tokens = false}).empty()) expected += byte;
    }
    std::string got;
    for (const TokenId token : tokenizer.encode(bytes, {.add_special_tokens = false})) {
      got += tokenizer.token_bytes(token, false);
    }
    if (!tokenizer.data().normalize_nfc) {
      EXPECT_EQ(got, expected);
    } else {
      EXPECT_EQ(got.empty(), expected.empty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SmallTokenizer,
                         testing::Values("smollm", "gpt2", "llama3", "qwen2", "deepseek"),
                         [](const auto& info) { return info.param; });

TEST(Tokenizer, KnowsSpecialFromUserDefinedTokens) {
  const Tokenizer tokenizer = load("qwen2");
  const Ids ids = tokenizer.encode("<think><|im_end|>");
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_FALSE(tokenizer.is_special(ids[0]));
  EXPECT_TRUE(tokenizer.is_special(ids[1]));
  EXPECT_EQ(tokenizer.token_bytes(ids[1], true), "");
  EXPECT_EQ(tokenizer.token_bytes(ids[1], false), "<|im_end|>");
}

TEST(Tokenizer, HasNoBytesForIdsOutsideOfTheVocabulary) {
  const Tokenizer tokenizer = load("gpt2");
  EXPECT_EQ(tokenizer.decode({-1, tokenizer.vocab_size(), 1 << 30}), "");
  EXPECT_FALSE(tokenizer.is_special(-1));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.vocab_size()));
}

TEST(Tokenizer, ReplacesTheBytesOfAHalfCharacter) {
  const Tokenizer tokenizer = load("gpt2");
  Ids ids = tokenizer.encode("\xf0\x9f");
  EXPECT_EQ(tokenizer.decode(ids), "\ufffd");
}

TEST(Tokenizer, MergesALongPieceAsAShortOne) {
  // The naive loop: merge the best pair, leftmost first, until none is left.
  const Tokenizer tokenizer = load("gpt2");
  const TokenizerData& data = tokenizer.data();
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += "aetohn"[random() % 6];
    std::vector<std::string> symbols;
    for (const char c : text) symbols.emplace_back(1, c);
    for (const std::string& merge : data.merges) {
      const std::string left = merge.substr(0, merge.find(' '));
      const std::string right = merge.substr(merge.find(' ') + 1);
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (symbols[i] != left || symbols[i + 1] != right) continue;
        symbols[i] += right;
        symbols.erase(symbols.begin() + i + 1);
      }
    }
    std::vector<std::string> got;
    for (const TokenId token : tokenizer.encode(text)) got.emplace_back(tokenizer.token_bytes(token, false));
    EXPECT_EQ(got, symbols);
  }
}

std::string load_error(TokenizerData data) {
  try {
    Tokenizer tokenizer(std::move(data));
  } catch (const LoadError& error) {
    return error.what();
  }
  return "";
}

TEST(Tokenizer, NamesWhatDoesNotFitTogether) {
  TokenizerData data{.tokens = {"a", "b", "ab"}, .types = {}, .merges = {"a b"}, .pre_tokenizer = "gpt2"};
  EXPECT_EQ(load_error(data), "");
  TokenizerData wrong = data;
  wrong.merges = {"a c"};
  EXPECT_EQ(load_error(wrong), "tokenizer: merge 0 'a c' needs tokens that the vocabulary does not have");
  wrong = data;
  wrong.pre_tokenizer = "bert";
  EXPECT_EQ(load_error(wrong),
            "tokenizer: pre-tokenizer 'bert', expected smollm, gpt2, llama3, qwen2 or splits");
  wrong = data;
  wrong.bos = 3;
  EXPECT_EQ(load_error(wrong), "tokenizer: bos token 3 is outside of the vocabulary");
  wrong = data;
  wrong.types.resize(2);
  EXPECT_EQ(load_error(wrong), "tokenizer: 2 token types, expected one for each of 3 tokens");
  EXPECT_EQ(load_error({}), "tokenizer: the vocabulary is empty");
}

}  // namespace
}  // namespace musaic
