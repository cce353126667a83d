#include <gmock/gmock.h>

#include "server/served_for_test.h"

namespace musaic {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Json chat(const Json& content) {
  return {{"messages", Json::array({Json{{"role", "user"}, {"content", content}}})}};
}

Json with(Json body, const Json& more) {
  for (const auto& [key, value] : more.items()) body[key] = value;
  return body;
}

TEST(Completions, AnswersInOpenAisSchema) {
  ServedEngine served;
  const Json answer = served.post("/v1/completions", {{"model", "x"}, {"prompt", "abc"}});
  EXPECT_THAT(answer["id"].get<std::string>(), testing::StartsWith("cmpl-"));
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["model"], "org/tiny");
  EXPECT_GT(answer["created"].get<int64_t>(), 1'600'000'000);
  ASSERT_EQ(answer["choices"].size(), 1u);
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["text"], "abcabcabcabcabca");  // 16 tokens without max_tokens
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_TRUE(choice["logprobs"].is_null());
  EXPECT_EQ(answer["usage"], Json({{"prompt_tokens", 3},
                                   {"total_tokens", 19},
                                   {"completion_tokens", 16},
                                   {"prompt_tokens_details", {{"cached_tokens", 1}}}}));
}

TEST(Completions, TakesEveryKindOfPrompt) {
  ServedEngine served;
  const auto texts = [&](const Json& prompt) {
    Json out = Json::array();
    const Json answer = served.post("/v1/completions", {{"prompt", prompt}, {"max_tokens", 2}});
    for (const Json& choice : answer["choices"]) out.push_back(choice["text"]);
    return out;
  };
  EXPECT_EQ(texts("ab"), Json::parse(R"(["ab"])"));
  EXPECT_EQ(texts(Json::parse(R"(["ab", "xy"])")), Json::parse(R"(["ab", "xy"])"));
  EXPECT_EQ(texts(Json::parse("[97, 98]")), Json::parse(R"(["ab"])"));
  EXPECT_EQ(texts(Json::parse("[[97, 98], [120, 121]]")), Json::parse(R"(["ab", "xy"])"));
}

TEST(Completions, CountsThePromptOnceForSeveralAnswers) {
  ServedEngine served;
  const Json answer = served.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 2}, {"n", 3}});
  EXPECT_EQ(answer["choices"].size(), 3u);
  EXPECT_EQ(answer["choices"][2]["index"], 2);
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 6);
}

TEST(Completions, EchoesThePrompt) {
  ServedEngine served;
  EXPECT_EQ(served.post("/v1/completions",
                        {{"prompt", "ab"}, {"max_tokens", 2}, {"echo", true}})["choices"][0]["text"],
            "abab");
  const Json scored =
      served.post("/v1/completions",
                  {{"prompt", "ab"}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 0}})["choices"][0];
  EXPECT_EQ(scored["text"], "ab");
  EXPECT_EQ(scored["logprobs"]["tokens"], Json::parse(R"(["a", "b"])"));
  EXPECT_EQ(scored["logprobs"]["token_logprobs"], Json::parse("[null, -0.5]"));
  EXPECT_EQ(scored["logprobs"]["text_offset"], Json::parse("[0, 1]"));
}

TEST(Completions, GivesLogprobsInColumns) {
  ServedEngine served;
  const Json choice = served.post("/v1/completions",
                                  {{"prompt", "ab<end>"}, {"max_tokens", 4}, {"logprobs", 2}})["choices"][0];
  EXPECT_EQ(choice["logprobs"],
            Json::parse(R"({"text_offset": [0, 1], "token_logprobs": [-0.5, -0.5], "tokens": ["a", "b"],
                                               "top_logprobs": [{"a": -0.5, "b": -1.5}, {"b": -0.5, "c": -1.5}]})"));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["matched_stop"], 256);
}

TEST(Completions, StreamsDeltasAndNeverEmptyChoices) {
  ServedEngine served({.step = 300us});
  std::string text;
  Json last;
  for (const Json& event : served.stream(
           "/v1/completions", {{"prompt", "abc"}, {"stream", true}, {"max_tokens", 6}, {"logprobs", 1}})) {
    ASSERT_EQ(event["choices"].size(), 1u);
    last = event["choices"][0];
    text += last["text"].get<std::string>();
    EXPECT_FALSE(event.contains("usage"));
  }
  EXPECT_EQ(text, "abcabc");
  EXPECT_EQ(last["finish_reason"], "length");
  EXPECT_EQ(last["logprobs"]["text_offset"].back(), 5);
}

TEST(Completions, EndsAStreamWithItsUsageWhenAsked) {
  ServedEngine served;
  const auto events = served.stream("/v1/completions", {{"prompt", "abc"},
                                                        {"stream", true},
                                                        {"max_tokens", 2},
                                                        {"stream_options", {{"include_usage", true}}}});
  EXPECT_EQ(events.back()["choices"], Json::array());
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 2);
}

TEST(Chat, AnswersInOpenAisSchema) {
  ServedEngine served;
  const Json answer =
      served.post("/v1/chat/completions", with(chat("hi<end>"), {{"return_meta_info", true}}));
  EXPECT_THAT(answer["id"].get<std::string>(), testing::StartsWith("chatcmpl-"));
  EXPECT_EQ(answer["object"], "chat.completion");
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "hi");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["meta_info"]["completion_tokens"], 3);
  EXPECT_EQ(answer["usage"]["total_tokens"], 6);
}

TEST(Chat, GoesUpToTheContextWithoutALimit) {
  ServedEngine served;
  served.post("/v1/chat/completions", chat("hi<end>"));
  served.post("/v1/chat/completions",
              with(chat("hi<end>"), {{"max_completion_tokens", 7}, {"max_tokens", 9}}));
  EXPECT_EQ(served.engine.seen()[0].sampling.max_new_tokens, FakeEngine::kContext - 3);
  EXPECT_EQ(served.engine.seen()[1].sampling.max_new_tokens, 7);
}

TEST(Chat, JoinsPartsOfTextAndPassesTemplateArguments) {
  ServedEngine served;
  const Json parts = Json::parse(R"([{"type":"text","text":"ab"},{"type":"text","text":"cd"}])");
  const Json body = with(chat(parts), {{"max_tokens", 5}, {"chat_template_kwargs", {{"suffix", "+"}}}});
  EXPECT_EQ(served.post("/v1/chat/completions", body)["choices"][0]["message"]["content"], "abcd+");
}

TEST(Chat, ReportsWhatTheTemplateRefuses) {
  ServedEngine served;
  const ClientAnswer answer =
      served.ask("POST", "/v1/chat/completions", R"({"messages":[{"role":"broken","content":"a"}]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("roles must alternate"));
}

TEST(Chat, StreamsARoleThenTextThenTheReason) {
  ServedEngine served({.step = 300us});
  const auto events = served.stream(
      "/v1/chat/completions",
      with(chat("abc"), {{"stream", true},
                         {"max_tokens", 4},
                         {"stream_options", {{"include_usage", true}, {"continuous_usage_stats", true}}}}));
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events[0]["choices"][0]["delta"], Json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(events[0]["object"], "chat.completion.chunk");
  std::string text;
  for (const Json& event : events) {
    EXPECT_TRUE(event.contains("usage"));
    if (!event["choices"].empty()) text += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(text, "abca");
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events.back()["choices"], Json::array());
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 4);
}

TEST(Chat, GivesLogprobsWithBytes) {
  ServedEngine served;
  const Json body = with(chat("é<end>"), {{"logprobs", true}, {"top_logprobs", 1}});
  const Json content = served.post("/v1/chat/completions", body)["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content[0]["bytes"], Json::parse("[195]"));
  EXPECT_EQ(content[1]["bytes"], Json::parse("[169]"));
  EXPECT_EQ(content[0]["top_logprobs"][0]["logprob"], -0.5);
  Json streamed = Json::array();
  for (const Json& event : served.stream("/v1/chat/completions", with(body, {{"stream", true}}))) {
    const Json& logprobs = event["choices"][0]["logprobs"];
    if (!logprobs.is_null())
      streamed.insert(streamed.end(), logprobs["content"].begin(), logprobs["content"].end());
  }
  EXPECT_EQ(streamed, content);
}

TEST(Models, ListsTheModelAndFindsItByName) {
  ServedEngine served;
  const Json list = served.get("/v1/models");
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0]["id"], "org/tiny");
  EXPECT_EQ(list["data"][0]["max_model_len"], 4096);
  EXPECT_EQ(served.get("/v1/models/org/tiny"), list["data"][0]);
  EXPECT_EQ(served.get("/v1/models/org%2Ftiny"), list["data"][0]);
  const ClientAnswer missing = served.ask("GET", "/v1/models/other");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(Json::parse(missing.body)["error"]["code"], 404);
}

TEST(Tokenize, EncodesTextsAndMessages) {
  ServedEngine served;
  EXPECT_EQ(served.post("/tokenize", {{"prompt", "ab"}}),
            Json::parse(R"({"tokens": [97, 98], "count": 2, "max_model_len": 4096})"));
  const Json list = served.post("/v1/tokenize", Json::parse(R"({"prompt": ["a", "bc"]})"));
  EXPECT_EQ(list["tokens"], Json::parse("[[97], [98, 99]]"));
  EXPECT_EQ(list["count"], Json::parse("[1, 2]"));
  EXPECT_EQ(served.post("/tokenize", with(chat("a"), {{"add_generation_prompt", false}}))["tokens"],
            Json::parse("[97, 33]"));
}

TEST(Detokenize, DecodesTokens) {
  ServedEngine served;
  EXPECT_EQ(served.post("/detokenize", Json::parse(R"({"tokens": [97, 256]})"))["text"], "a");
  EXPECT_EQ(served.post("/v1/detokenize",
                        Json::parse(R"({"tokens": [97, 256], "skip_special_tokens": false})"))["text"],
            "a<end>");
  EXPECT_EQ(served.post("/detokenize", Json::parse(R"({"tokens": [[97], [98]]})"))["text"],
            Json::parse(R"(["a", "b"])"));
  EXPECT_EQ(served.ask("POST", "/detokenize", R"({"tokens":[260]})").status, 400);
  EXPECT_EQ(served.ask("POST", "/detokenize", R"({})").status, 400);
}

TEST(Detokenize, IdsOfTheModelThatTheTokenizerDoesNotKnowHaveNoText) {
  ServedEngine served({.vocab_size = 1000});
  EXPECT_EQ(served.post("/detokenize", Json::parse(R"({"tokens": [97, 260, 999, 98]})"))["text"], "ab");
  EXPECT_EQ(served.ask("POST", "/detokenize", R"({"tokens":[1000]})").status, 400);
  const Json body = {{"prompt", Json::parse("[97, 999, 98]")}, {"max_tokens", 3}, {"logprobs", 1}};
  const Json choice = served.post("/v1/completions", body)["choices"][0];
  EXPECT_EQ(choice["text"], "ab");
  EXPECT_EQ(choice["logprobs"]["tokens"], Json::parse(R"(["a", "", "b"])"));
}

}  // namespace
}  // namespace musaic
