#include <gmock/gmock.h>

#include "server/served_for_test.h"

namespace musaic {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST(Generate, ContinuesATextWithItsOwnTokens) {
  ServedEngine served;
  const Json answer =
      served.post("/generate", {{"text", "abc"}, {"sampling_params", {{"max_new_tokens", 5}}}});
  EXPECT_EQ(answer["text"], "abcab");
  EXPECT_EQ(answer["output_ids"], Json::parse("[97, 98, 99, 97, 98]"));
  const Json& info = answer["meta_info"];
  EXPECT_EQ(info["finish_reason"], Json({{"type", "length"}, {"length", 5}}));
  EXPECT_EQ(info["prompt_tokens"], 3);
  EXPECT_EQ(info["completion_tokens"], 5);
  EXPECT_EQ(info["cached_tokens"], 1);
  EXPECT_EQ(info["weight_version"], "default");
  EXPECT_GT(info["e2e_latency"].get<double>(), 0.0);
  EXPECT_EQ(info["id"].get<std::string>().size(), 32u);
  EXPECT_FALSE(info.contains("output_token_logprobs"));
  EXPECT_FALSE(info.contains("musaic"));
}

TEST(Generate, UsesItsDefaultsWhereNothingIsGiven) {
  ServedEngine served;
  EXPECT_EQ(served.post("/generate", {{"text", "a"}})["meta_info"]["completion_tokens"], 128);
  const SamplingParams& sampling = served.engine.seen().at(0).sampling;
  EXPECT_EQ(sampling.temperature, 1.0f);
  EXPECT_EQ(sampling.top_k, -1);
  EXPECT_FALSE(sampling.seed.has_value());
}

TEST(Generate, PassesEverySamplingParameterOn) {
  ServedEngine served;
  const Json params = {{"max_new_tokens", 3},
                       {"min_new_tokens", 2},
                       {"temperature", 0.5},
                       {"top_p", 0.25},
                       {"top_k", 7},
                       {"min_p", 0.125},
                       {"frequency_penalty", -1},
                       {"presence_penalty", 1.5},
                       {"repetition_penalty", 1.25},
                       {"seed", 42},
                       {"ignore_eos", true},
                       {"stop_token_ids", Json::array({9, 8})},
                       {"logit_bias", {{"5", -100}, {"6", 2.5}}}};
  served.post("/generate", {{"input_ids", Json::array({1, 2})}, {"sampling_params", params}});
  const SamplingParams sampling = served.engine.seen().at(0).sampling;
  EXPECT_EQ(sampling.max_new_tokens, 3);
  EXPECT_EQ(sampling.min_new_tokens, 2);
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_p, 0.25f);
  EXPECT_EQ(sampling.top_k, 7);
  EXPECT_EQ(sampling.min_p, 0.125f);
  EXPECT_EQ(sampling.frequency_penalty, -1.0f);
  EXPECT_EQ(sampling.presence_penalty, 1.5f);
  EXPECT_EQ(sampling.repetition_penalty, 1.25f);
  EXPECT_EQ(sampling.seed, 42);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_EQ(sampling.stop_token_ids, (std::vector<TokenId>{9, 8}));
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<TokenId, float>>{{5, -100.0f}, {6, 2.5f}}));
}

TEST(Generate, AnswersWhatFewShotGsm8kSends) {
  ServedEngine served;
  const Json warm_up =
      served.post("/generate", {{"text", "five shots"}, {"sampling_params", {{"max_new_tokens", 0}}}});
  EXPECT_EQ(warm_up["text"], "");
  EXPECT_EQ(warm_up["meta_info"]["completion_tokens"], 0);
  const Json params = {{"max_new_tokens", 512},
                       {"stop", Json::array({"Question", "Assistant:", "<|separator|>"})},
                       {"stop_token_ids", Json::array()},
                       {"stop_regex", Json::array()},
                       {"temperature", 0.0},
                       {"top_k", -1},
                       {"regex", nullptr},
                       {"json_schema", nullptr}};
  const Json answer =
      served.post("/generate", {{"text", "An answer. Question: more"}, {"sampling_params", params}});
  EXPECT_EQ(answer["text"], "An answer. ");
  EXPECT_EQ(answer["meta_info"]["completion_tokens"], 19);
  EXPECT_EQ(answer["meta_info"]["finish_reason"], Json({{"type", "stop"}, {"matched", "Question"}}));
}

TEST(Generate, IgnoresWhatIsInNoApi) {
  ServedEngine served;
  const Json body = {{"text", "ab"},
                     {"model", nullptr},
                     {"log_metrics", true},
                     {"no_logs", false},
                     {"return_bytes", false},
                     {"return_entropy", false},
                     {"image_data", nullptr},
                     {"lora_path", nullptr},
                     {"made_up", Json::array({1, 2})},
                     {"sampling_params", {{"max_new_tokens", 2}, {"made_up", 1}, {"stop", nullptr}}}};
  EXPECT_EQ(served.post("/generate", body)["text"], "ab");
}

TEST(Generate, EndsAtTheModelsEndTokenAndLeavesItOutOfTheText) {
  ServedEngine served;
  const Json answer = served.post("/generate", {{"text", "hi<end>there"}});
  EXPECT_EQ(answer["text"], "hi");
  EXPECT_EQ(answer["output_ids"], Json::parse("[104, 105, 256]"));
  EXPECT_EQ(answer["meta_info"]["finish_reason"], Json({{"type", "stop"}, {"matched", 256}}));
}

TEST(Generate, TellsTheEngineQuietlyOfATextStop) {
  ServedEngine served({.step = 200us});
  const Json answer = served.post(
      "/generate", {{"text", "one two"}, {"sampling_params", {{"max_new_tokens", 4000}, {"stop", "ne"}}}});
  EXPECT_EQ(answer["text"], "o");
  EXPECT_EQ(answer["meta_info"]["completion_tokens"], 3);
  EXPECT_TRUE(eventually([&] { return served.engine.idle(); }));
  EXPECT_EQ(served.engine.quiet_aborts(), 1);
  EXPECT_EQ(served.engine.aborts(), 0);
}

TEST(Generate, StopsAtARegexAndKeepsTheStopWhenAskedTo) {
  ServedEngine served;
  const Json regex =
      served.post("/generate", {{"text", "ab12cd"}, {"sampling_params", {{"stop_regex", "[0-9]{2}"}}}});
  EXPECT_EQ(regex["text"], "ab");
  const Json kept = served.post(
      "/generate", {{"text", "ab12cd"}, {"sampling_params", {{"stop", "12"}, {"no_stop_trim", true}}}});
  EXPECT_EQ(kept["text"], "ab12");
}

TEST(Generate, AnswersAListWithAList) {
  ServedEngine served;
  const Json answer = served.post(
      "/generate",
      Json::parse(
          R"({"text": ["ab", "xyz"], "rid": "batch", "sampling_params": [{"max_new_tokens": 2}, {"max_new_tokens": 3}]})"));
  ASSERT_EQ(answer.size(), 2u);
  EXPECT_EQ(answer[0]["text"], "ab");
  EXPECT_EQ(answer[1]["text"], "xyz");
  EXPECT_EQ(answer[1]["meta_info"]["id"], "batch_1");
  const Json one = served.post(
      "/generate", Json::parse(R"({"input_ids": [[1, 2]], "sampling_params": {"max_new_tokens": 1}})"));
  ASSERT_TRUE(one.is_array());
  EXPECT_EQ(one[0]["output_ids"], Json::parse("[1]"));
}

TEST(Generate, DrawsSeveralAnswersWithSeedsOfTheirOwn) {
  ServedEngine served;
  const Json answer = served.post(
      "/generate", {{"text", "ab"}, {"sampling_params", {{"max_new_tokens", 2}, {"n", 3}, {"seed", 10}}}});
  ASSERT_EQ(answer.size(), 3u);
  const auto seen = served.engine.seen();
  ASSERT_EQ(seen.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(seen[i].sampling.seed, 10 + i);
}

TEST(Generate, StreamsTheTextSoFar) {
  ServedEngine served;
  const auto events = served.stream(
      "/generate", {{"text", "abc"}, {"stream", true}, {"sampling_params", {{"max_new_tokens", 3}}}});
  ASSERT_FALSE(events.empty());
  std::string last;
  for (const Json& event : events) {
    EXPECT_FALSE(event.contains("index"));
    EXPECT_THAT(event["text"].get<std::string>(), testing::StartsWith(last));
    last = event["text"];
    EXPECT_EQ(event["meta_info"]["completion_tokens"], event["output_ids"].size());
    EXPECT_EQ(event["meta_info"]["finish_reason"].is_null(), &event != &events.back());
  }
  EXPECT_EQ(last, "abc");
}

TEST(Generate, MarksTheEventsOfABatchWithTheirIndex) {
  ServedEngine served({.step = 500us});
  std::map<int, std::string> texts;
  for (const Json& event : served.stream(
           "/generate",
           Json::parse(
               R"({"text": ["ab", "xy"], "stream": true, "sampling_params": {"max_new_tokens": 4}})"))) {
    texts[event["index"]] = event["text"];
  }
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, "abab"}, {1, "xyxy"}}));
}

TEST(Generate, HoldsBackWhatMayBecomeAStop) {
  ServedEngine served({.step = 500us});
  for (const Json& event : served.stream(
           "/generate", {{"text", "a STOP"}, {"stream", true}, {"sampling_params", {{"stop", "STOP"}}}})) {
    EXPECT_THAT(event["text"].get<std::string>(), testing::AnyOf("a", "a "));
  }
}

TEST(Generate, NeverShowsHalfACharacter) {
  ServedEngine served({.step = 500us});
  std::string last;
  for (const Json& event : served.stream(
           "/generate", {{"text", "é€😀"}, {"stream", true}, {"sampling_params", {{"max_new_tokens", 9}}}})) {
    last = event["text"];
    EXPECT_EQ(last.find("\xEF\xBF\xBD"), std::string::npos) << last;
  }
  EXPECT_EQ(last, "é€😀");
}

TEST(Generate, SendsOneEventForSeveralTokensWithAStreamInterval) {
  ServedEngine served({.server = {.stream_interval = 4}, .step = 500us});
  const auto events = served.stream(
      "/generate", {{"text", "ab"}, {"stream", true}, {"sampling_params", {{"max_new_tokens", 12}}}});
  EXPECT_LE(events.size(), 4u);
  EXPECT_EQ(events.back()["text"], "abababababab");
}

TEST(Generate, GivesLogprobsInSglangsLists) {
  ServedEngine served;
  const Json body =
      Json::parse(R"({"text": "abc", "return_logprob": true, "logprob_start_len": 1, "top_logprobs_num": 2,
      "token_ids_logprob": [7], "return_text_in_logprobs": true, "sampling_params": {"max_new_tokens": 2}})");
  const Json info = served.post("/generate", body)["meta_info"];
  EXPECT_EQ(info["input_token_logprobs"], Json::parse(R"([[null, 98, "b"], [-0.5, 99, "c"]])"));
  EXPECT_EQ(info["output_token_logprobs"], Json::parse(R"([[-0.5, 97, "a"], [-0.5, 98, "b"]])"));
  EXPECT_EQ(info["input_top_logprobs"], Json::parse(R"([null, [[-0.5, 99, "c"], [-1.5, 100, "d"]]])"));
  EXPECT_EQ(info["output_top_logprobs"][1], Json::parse(R"([[-0.5, 98, "b"], [-1.5, 99, "c"]])"));
  EXPECT_EQ(info["output_token_ids_logprobs"][0], Json::parse(R"([[-2.0, 7, "\u0007"]])"));
}

TEST(Generate, LeavesTextsOutOfLogprobsUnlessAskedFor) {
  ServedEngine served;
  const Json info = served.post(
      "/generate",
      {{"text", "a"}, {"return_logprob", true}, {"sampling_params", {{"max_new_tokens", 1}}}})["meta_info"];
  EXPECT_EQ(info["input_token_logprobs"], Json::array());
  EXPECT_EQ(info["output_token_logprobs"], Json::parse("[[-0.5, 97, null]]"));
}

TEST(Generate, TellsHowItsStepsRanWhenAsked) {
  ServedEngine served;
  const Json info = served.post(
      "/generate",
      {{"text", "a"}, {"return_step_info", true}, {"sampling_params", {{"max_new_tokens", 1}}}})["meta_info"];
  EXPECT_EQ(info["musaic"]["first_step"], "extend bucket=64 replayed pad=3");
}

TEST(Generate, ServesTokensWithoutATokenizer) {
  ServedEngine served({.with_tokenizer = false});
  const Json answer = served.post(
      "/generate", {{"input_ids", Json::array({5, 6})}, {"sampling_params", {{"max_new_tokens", 2}}}});
  EXPECT_EQ(answer["output_ids"], Json::parse("[5, 6]"));
  EXPECT_FALSE(answer.contains("text"));
  const ClientAnswer refused = served.ask("POST", "/generate", R"({"text":"a"})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("--skip-tokenizer-init"));
}

TEST(Generate, AnswersAnEnginesFailureWithItsStatus) {
  ServedEngine served;
  const ClientAnswer answer = served.ask("POST", "/generate", R"({"text":"a<fail>"})");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(Json::parse(answer.body)["error"]["message"], "the device failed");
}

TEST(Generate, TellsOfAFailureInsideAStream) {
  ServedEngine served({.step = 500us});
  const auto events = served.stream("/generate", {{"text", "ab<fail>"}, {"stream", true}});
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events.back(), Json({{"error",
                                  {{"message", "the device failed"},
                                   {"type", "server_error"},
                                   {"param", nullptr},
                                   {"code", 500},
                                   {"retryable", true}}}}));
}

TEST(Generate, AnswersAFullQueueWith503) {
  ServedEngine served({.step = 1ms, .max_queued = 2});
  Client first(served.server->port());
  first.request("POST", "/generate", R"({"text":["a","b"],"sampling_params":{"max_new_tokens":1000}})");
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 2; }));
  const ClientAnswer answer = served.ask("POST", "/generate", R"({"text":"c"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(Json::parse(answer.body)["error"]["code"], 503);
}

TEST(Generate, FreesTheTokensOfClientsThatLeave) {
  ServedEngine served({.step = 1ms});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>(served.server->port()));
    const bool stream = i % 2 == 0;
    clients.back()->request(
        "POST", "/generate",
        Json{{"text", "abc"}, {"stream", stream}, {"sampling_params", {{"max_new_tokens", 4000}}}}.dump());
  }
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 100; }));
  clients.clear();
  const auto left = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return served.engine.stats().used_tokens == 0; }));
  EXPECT_LT(std::chrono::steady_clock::now() - left, 1s);
  EXPECT_EQ(served.engine.aborts(), 100);
}

TEST(Generate, GathersTokensForAClientThatReadsSlowly) {
  ServedEngine served;
  Client client(served.server->port(), /*receive_buffer_bytes=*/4096);
  client.request("POST", "/generate",
                 R"({"text":"abcdefgh","stream":true,"sampling_params":{"max_new_tokens":4000}})");
  EXPECT_EQ(client.read_head().status, 200);
  ASSERT_TRUE(eventually([&] { return served.engine.idle(); }));  // the engine does not wait for it
  std::string body;
  while (client.read_chunk(body)) {
  }
  size_t events = 0;
  for (size_t at = 0; (at = body.find("data: ", at)) != std::string::npos; ++at) ++events;
  EXPECT_LT(events, 2000u);
  const size_t last = body.rfind("data: {");
  EXPECT_EQ(Json::parse(
                body.substr(last + 6, body.find("\n\n", last) - last - 6))["meta_info"]["completion_tokens"],
            4000);
  EXPECT_THAT(body, testing::EndsWith("data: [DONE]\n\n"));
}

TEST(Generate, EndsAnAnswerByItsRid) {
  ServedEngine served({.step = 1ms});
  Client client(served.server->port());
  client.request("POST", "/generate",
                 R"({"text":"abc","rid":"mine","sampling_params":{"max_new_tokens":4000}})");
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 1; }));
  EXPECT_EQ(served.ask("POST", "/abort_request", R"({"rid":"other"})").status, 200);
  EXPECT_EQ(served.engine.aborts(), 0);
  EXPECT_EQ(served.ask("POST", "/abort_request", R"({"rid":"mine"})").status, 200);
  const Json info = Json::parse(client.read_answer().body)["meta_info"];
  EXPECT_EQ(info["id"], "mine");
  EXPECT_EQ(info["finish_reason"], Json({{"type", "abort"}, {"message", "aborted by the client"}}));
}

TEST(Generate, EndsAllAnswersOfABatchByItsRid) {
  ServedEngine served({.step = 1ms});
  Client client(served.server->port());
  client.request(
      "POST", "/generate",
      R"({"text":["a","b"],"rid":"batch","sampling_params":[{"max_new_tokens":4000,"n":2},{"max_new_tokens":4000}]})");
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 3; }));
  EXPECT_EQ(served.ask("POST", "/abort_request", R"({"rid":"batch_0"})").status, 200);
  EXPECT_TRUE(eventually([&] { return served.engine.stats().running_requests == 1; }));
  EXPECT_EQ(served.ask("POST", "/abort_request", R"({"rid":"batch"})").status, 200);
  const Json answer = Json::parse(client.read_answer().body);
  ASSERT_EQ(answer.size(), 3u);
  EXPECT_EQ(answer[1]["meta_info"]["id"], "batch_0_1");
}

TEST(Generate, Serves128ClientsAtOnce) {
  ServedEngine served({.step = 100us});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 128; ++i) {
    clients.push_back(std::make_unique<Client>(served.server->port()));
    clients.back()->request("POST", "/generate",
                            Json{{"text", "n" + std::to_string(i) + "."},
                                 {"sampling_params", {{"max_new_tokens", 40}, {"stop", "."}}}}
                                .dump(),
                            "Connection: close\r\n");
  }
  for (int i = 0; i < 128; ++i) {
    const ClientAnswer answer = clients[i]->read_answer();
    ASSERT_EQ(answer.status, 200);
    EXPECT_EQ(Json::parse(answer.body)["text"], "n" + std::to_string(i));
  }
}

}  // namespace
}  // namespace musaic
