#include "tokenizer/text_stream.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "tokenizer/tokenizer_files.h"

namespace musaic {
namespace {

using Ids = std::vector<TokenId>;

std::shared_ptr<const Tokenizer> load(const std::string& name = "qwen2") {
  return std::make_shared<Tokenizer>(
      tokenizer_data_from_hf(std::filesystem::path(MUSAIC_TEST_DATA) / "tokenizer" / name));
}

// One token a byte, so that a test sees every step.
Ids byte_tokens(const Tokenizer& tokenizer, std::string_view text) {
  Ids ids;
  for (const char byte : text) ids.push_back(tokenizer.encode(std::string(1, byte)).at(0));
  return ids;
}

struct Answer {
  std::string text;
  int tokens = 0;
  std::string rule;
  std::string matched;
  bool operator==(const Answer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  return out << '\'' << answer.text << "' of " << answer.tokens << " tokens, by '" << answer.rule << "' at '"
             << answer.matched << '\'';
}

// Feeds all tokens, `chunk(left)` at a time, and past any stop.
template <class Chunk>
Answer run(const std::shared_ptr<const Tokenizer>& tokenizer, const TextRules& rules, const Ids& ids,
           Chunk chunk) {
  Result<TextStream> stream = TextStream::create(tokenizer, rules);
  Answer answer;
  for (size_t i = 0; i < ids.size();) {
    const size_t count = std::min<size_t>(chunk(), ids.size() - i);
    const Result<TextUpdate> update = stream->push(std::span(ids).subspan(i, count));
    answer.text += update.value().text;
    answer.tokens += update.value().tokens;
    if (update.value().match) {
      answer.rule = update.value().match->rule;
      answer.matched = update.value().match->text;
    }
    i += count;
  }
  answer.text += stream->finish().text;
  EXPECT_EQ(stream->text(), answer.text);
  EXPECT_EQ(stream->num_tokens(), answer.tokens);
  return answer;
}

Answer run(const std::shared_ptr<const Tokenizer>& tokenizer, const TextRules& rules, const Ids& ids) {
  return run(tokenizer, rules, ids, [] { return 1; });
}

TEST(TextStream, HoldsBackTextThatMayBeginAStop) {
  const auto tokenizer = load();
  Result<TextStream> stream = TextStream::create(tokenizer, {.stop = {"Question"}});
  std::vector<std::string> steps;
  for (const TokenId token : byte_tokens(*tokenizer, "a Quest Questiom")) {
    steps.push_back(stream->push(std::span(&token, 1)).value().text);
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"a", " ", "", "", "", "", "", "Quest ", "", "", "", "", "", "",
                                             "", "Questiom"}));
}

TEST(TextStream, EndsBeforeTheStopAndCountsTheTokenThatCompletesIt) {
  const auto tokenizer = load();
  const Ids ids = byte_tokens(*tokenizer, "12 Question: no");
  EXPECT_EQ(run(tokenizer, {.stop = {"Question", "Assistant:"}}, ids),
            (Answer{"12 ", 11, "Question", "Question"}));
  EXPECT_EQ(run(tokenizer, {.stop = {"Question"}, .no_stop_trim = true}, ids),
            (Answer{"12 Question", 11, "Question", "Question"}));
}

TEST(TextStream, TakesTheStopThatIsCompleteFirstHoweverItsTokensCome) {
  const auto tokenizer = load();
  EXPECT_EQ(run(tokenizer, {.stop = {"xabc", "ab"}}, byte_tokens(*tokenizer, "xabc")),
            (Answer{"x", 3, "ab", "ab"}));
  const Ids whole = tokenizer->encode("<think>");  // one token whose text has both
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(run(tokenizer, {.stop = {"<think", "hi"}}, whole), (Answer{"<t", 1, "hi", "hi"}));
}

TEST(TextStream, FindsAStopWithinATokenAndAcrossTokens) {
  const auto tokenizer = load();
  const Ids ids = tokenizer->encode("a</think>b");
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_EQ(run(tokenizer, {.stop = {"a</"}}, ids), (Answer{"", 2, "a</", "a</"}));
  EXPECT_EQ(run(tokenizer, {.stop = {">b"}}, ids), (Answer{"a</think", 3, ">b", ">b"}));
}

TEST(TextStream, NeverGivesOutHalfACharacterOfAStop) {
  const auto tokenizer = load();
  Result<TextStream> stream = TextStream::create(tokenizer, {.stop = {"\u00e9!", "\u4e2d\u6587"}});
  std::string text;
  for (const TokenId token : byte_tokens(*tokenizer, "\u00e9?\u4e2d\u6588\u00e8")) {
    const std::string piece = stream->push(std::span(&token, 1)).value().text;
    EXPECT_TRUE(piece.empty() || (piece[0] & 0xC0) != 0x80) << testing::PrintToString(piece);
    text += piece;
  }
  EXPECT_EQ(text, "\u00e9?\u4e2d\u6588\u00e8");
}

TEST(TextStream, GivesOutHeldBackTextAtTheEnd) {
  const auto tokenizer = load();
  Result<TextStream> stream = TextStream::create(tokenizer, {.stop = {"END"}});
  const Ids ids = byte_tokens(*tokenizer, "x EN\xf0\x9f");
  EXPECT_EQ(stream->push(ids).value().text, "x ");
  EXPECT_EQ(stream->finish().text, "EN\ufffd");
  EXPECT_EQ(stream->push(ids).value().tokens, 0);
  EXPECT_EQ(stream->finish().text, "");
}

TEST(TextStream, CountsAStopTokenButLeavesItsTextOut) {
  const auto tokenizer = load();
  Ids ids = tokenizer->encode("hi<|im_end|>");
  const int count = static_cast<int>(ids.size());
  const auto text_with = [&](TextRules rules) {
    Result<TextStream> stream = TextStream::create(tokenizer, std::move(rules));
    EXPECT_EQ(stream->push(ids, true).value().tokens, count);
    stream->finish();
    return stream->text();
  };
  EXPECT_EQ(text_with({}), "hi");
  EXPECT_EQ(text_with({.skip_special_tokens = false}), "hi");
  EXPECT_EQ(text_with({.no_stop_trim = true, .skip_special_tokens = false}), "hi<|im_end|>");
  ids = tokenizer->encode("hi!");  // an ordinary token that the client asked to stop at
  EXPECT_EQ(tokenizer->token_bytes(ids.back(), false), "!");
  EXPECT_EQ(text_with({}), "hi");
  EXPECT_EQ(text_with({.no_stop_trim = true}), "hi!");
}

TEST(TextStream, StopsAtAPatternAndHoldsBackWhatMayBecomeOne) {
  const auto tokenizer = load();
  const TextRules rules{.stop_regex = {R"(\n\s*Q(uestion|\d+):)"}};
  Result<TextStream> stream = TextStream::create(tokenizer, rules);
  EXPECT_EQ(stream->push(byte_tokens(*tokenizer, "a\n b\n Q12")).value().text, "a\n b");
  const TextUpdate update = stream->push(byte_tokens(*tokenizer, ": c")).value();
  EXPECT_EQ(update.text, "");
  EXPECT_EQ(update.tokens, 1);
  ASSERT_TRUE(update.match.has_value());
  EXPECT_EQ(update.match->rule, rules.stop_regex[0]);
  EXPECT_EQ(update.match->text, "\n Q12:");
  EXPECT_EQ(stream->text(), "a\n b");
}

TEST(TextStream, LetsAPatternLookBehindTextAlreadyGivenOut) {
  const auto tokenizer = load();
  EXPECT_EQ(run(tokenizer, {.stop_regex = {"(?<=ab)c"}}, byte_tokens(*tokenizer, "c abc")),
            (Answer{"c ab", 5, "(?<=ab)c", "c"}));
  EXPECT_EQ(run(tokenizer, {.stop_regex = {R"(\bend\b)"}, .no_stop_trim = true},
                byte_tokens(*tokenizer, "bend end")),
            (Answer{"bend end", 8, R"(\bend\b)", "end"}));
}

TEST(TextStream, RefusesABadPatternAndAnEmptyStop) {
  const auto tokenizer = load();
  EXPECT_EQ(TextStream::create(tokenizer, {.stop_regex = {"a(b"}}).status().message(),
            "stop_regex 'a(b': missing closing parenthesis at offset 3");
  EXPECT_FALSE(TextStream::create(tokenizer, {.stop_regex = {R"(\C)"}}).ok());
  EXPECT_FALSE(TextStream::create(tokenizer, {.stop = {""}}).ok());
}

TEST(TextStream, GivesUpOnAPatternThatTakesTooManySteps) {
  const auto tokenizer = load();
  Result<TextStream> stream = TextStream::create(tokenizer, {.stop_regex = {"(a|aa)+b"}});
  const Result<TextUpdate> failed = stream->push(byte_tokens(*tokenizer, std::string(60, 'a') + "c"));
  EXPECT_EQ(failed.status().message(), "stop_regex '(a|aa)+b': match limit exceeded");
  EXPECT_TRUE(stream->stopped());
}

// The plain way: decode everything after each token and look whether a stop string is in it.
Answer naive(const Tokenizer& tokenizer, const std::vector<std::string>& stops, const Ids& ids) {
  for (size_t count = 1; count <= ids.size(); ++count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += tokenizer.token_bytes(ids[i], true);
    for (size_t end = 1; end <= text.size(); ++end) {
      std::string matched;
      for (const std::string& stop : stops) {
        if (std::string_view(text).substr(0, end).ends_with(stop) && stop.size() > matched.size())
          matched = stop;
      }
      if (!matched.empty()) {
        return {text.substr(0, end - matched.size()), static_cast<int>(count), matched, matched};
      }
    }
  }
  return {tokenizer.decode(ids), static_cast<int>(ids.size()), "", ""};
}

TEST(TextStream, SaysTheSameForEveryChunkingAsTheNaiveWay) {
  const auto tokenizer = load("gpt2");
  std::mt19937 random(5);
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += std::array{"a", "b", "ab", " ", "é", "the", "😀"}[random() % 7];
    std::vector<std::string> stops;
    for (int i = 0; i < 3; ++i) {
      std::string stop;
      while (stop.empty() || random() % 3)
        stop += std::array{"a", "b", "ba", " ", "é", "th", "😀"}[random() % 7];
      stops.push_back(stop + stop.substr(0, 1 + random() % 2 * (stop.size() - 1)));
      while ((stops.back().back() & 0x80) != 0) stops.back() += "a";
    }
    const Ids ids = random() % 2 ? tokenizer->encode(text) : byte_tokens(*tokenizer, text);
    const Answer expected = naive(*tokenizer, stops, ids);
    EXPECT_EQ(run(tokenizer, {.stop = stops}, ids), expected);
    EXPECT_EQ(run(tokenizer, {.stop = stops}, ids, [] { return 1000; }), expected);
    EXPECT_EQ(run(tokenizer, {.stop = stops}, ids, [&] { return 1 + random() % 7; }), expected);
  }
}

}  // namespace
}  // namespace musaic
