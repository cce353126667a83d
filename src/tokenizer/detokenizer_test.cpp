#include "tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "tokenizer/tokenizer_files.h"
#include "tokenizer/unicode.h"

namespace musaic {
namespace {

Tokenizer load(const std::string& name) {
  return Tokenizer(tokenizer_data_from_hf(std::filesystem::path(MUSAIC_TEST_DATA) / "tokenizer" / name));
}

bool is_well_formed(const std::string& text) {
  return replace_invalid_utf8(text) == text;
}

TEST(Detokenizer, HoldsACharacterBackUntilItIsComplete) {
  const Tokenizer tokenizer = load("gpt2");
  Detokenizer detokenizer(tokenizer, true);
  std::vector<std::string> steps;
  for (const char byte : std::string("a\xf0\x9f\x98\x80")) {
    steps.push_back(detokenizer.push(tokenizer.encode(std::string(1, byte)).at(0)));
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"a", "", "", "", "😀"}));
  EXPECT_EQ(detokenizer.flush(), "");
}

TEST(Detokenizer, GivesOutAHalfCharacterAtTheEndAsAReplacement) {
  const Tokenizer tokenizer = load("gpt2");
  Detokenizer detokenizer(tokenizer, true);
  EXPECT_EQ(detokenizer.push(tokenizer.encode("\xe2").at(0)), "");
  EXPECT_EQ(detokenizer.push(tokenizer.encode("\x82").at(0)), "");
  EXPECT_EQ(detokenizer.flush(), "\ufffd");
  EXPECT_EQ(detokenizer.flush(), "");
}

TEST(Detokenizer, AddsUpToWhatDecodeSaysForAnyTokens) {
  for (const bool skip : {false, true}) {
    const Tokenizer tokenizer = load("qwen2");
    std::mt19937 random(11);
    for (int round = 0; round < 200; ++round) {
      std::vector<TokenId> tokens(random() % 30);
      // Mostly single bytes, so that characters break in every way.
      for (TokenId& token : tokens) {
        token = static_cast<TokenId>(random() % (random() % 2 ? 256 : tokenizer.vocab_size()));
      }
      Detokenizer detokenizer(tokenizer, skip);
      std::string text;
      for (const TokenId token : tokens) {
        const std::string piece = detokenizer.push(token);
        EXPECT_TRUE(is_well_formed(piece));
        text += piece;
      }
      text += detokenizer.flush();
      EXPECT_EQ(text, tokenizer.decode(tokens, skip));
    }
  }
}

TEST(Unicode, ReplacesEachLongestIllFormedPrefixOnce) {
  // The table of the Unicode Standard, chapter 3, and what Python's errors="replace" gives.
  EXPECT_EQ(replace_invalid_utf8("a\xf1\x80\x80\xe1\x80\xc2"
                                 "b\x80"
                                 "c\x80\xbf"
                                 "d"),
            "a\ufffd\ufffd\ufffd"
            "b\ufffd"
            "c\ufffd\ufffd"
            "d");
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), "\ufffd\ufffd");
  EXPECT_EQ(replace_invalid_utf8("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(replace_invalid_utf8("\xf0\x9f\x98"), "\ufffd");
  EXPECT_EQ(replace_invalid_utf8("ok é 日 😀"), "ok é 日 😀");
}

TEST(Unicode, ComposesWellFormedStretchesOnly) {
  EXPECT_EQ(normalize_nfc("cafe\u0301"), "caf\u00e9");
  EXPECT_EQ(normalize_nfc("e\u0301\xff"
                          "e\u0301"),
            "\u00e9\xff\u00e9");
  EXPECT_EQ(normalize_nfc("\u1100\u1161\u11a8"), "\uac01");
}

}  // namespace
}  // namespace musaic
