#include <gmock/gmock.h>

#include "server/served_for_test.h"

namespace musaic {
namespace {

struct BadRequest {
  std::string target;
  std::string body;
  std::string param;    // as in error.param; empty: null
  std::string message;  // part of it
};

void PrintTo(const BadRequest& bad, std::ostream* out) {
  *out << bad.target << " " << bad.body.substr(0, 200);
}

std::string sampling(const std::string& params) {
  return R"({"text":"a","sampling_params":{)" + params + "}}";
}
std::string completion(const std::string& more) {
  return R"({"prompt":"a",)" + more + "}";
}
std::string chat(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"a"}],)" + more + "}";
}

std::string many_keys() {
  std::string body = R"({"text":"a")";
  for (int i = 0; i < 5000; ++i) body += ",\"k" + std::to_string(i) + "\":0";
  return body + "}";
}

std::string many_strings(const std::string& each, int count) {
  std::string list = "[";
  for (int i = 0; i < count; ++i) list += (i ? ",\"" : "\"") + each + std::to_string(i) + "\"";
  return list + "]";
}

std::vector<BadRequest> bad_bodies() {
  return {
      {"/generate", "", "", "no body"},
      {"/generate", "{", "", "not valid JSON"},
      {"/generate", R"({"text": "\xff"})", "", "not valid JSON"},
      {"/generate", "{\"text\": \"\xff\"}", "", "UTF-8"},
      {"/generate", R"({"text":"a","sampling_params":{"temperature":1e999}})", "", "not valid JSON"},
      {"/generate", "[1]", "", "expected an object"},
      {"/generate", "\"a\"", "", "expected an object"},
      {"/generate", R"({"text":"a","x":)" + std::string(64, '[') + std::string(64, ']') + "}", "",
       "nested deeper than 64"},
      {"/generate", std::string(100'000, '['), "", "nested deeper than 64"},
      {"/generate", many_keys(), "", "more than 4096 keys"},
  };
}

std::vector<BadRequest> bad_generates() {
  return {
      {"/generate", "{}", "text", "required"},
      {"/generate", R"({"text":null,"input_ids":[]})", "text", "required"},
      {"/generate", R"({"text":""})", "prompt", "no tokens"},
      {"/generate", R"({"text":["a",""]})", "prompt", "no tokens"},
      {"/generate", R"({"text":7})", "text", "expected a string"},
      {"/generate", R"({"text":["a",7]})", "text", "expected a string"},
      {"/generate", R"({"text":"a","input_ids":[1]})", "input_ids", "only one of"},
      {"/generate", R"({"input_ids":"a"})", "input_ids", "list of token ids"},
      {"/generate", R"({"input_ids":[1.5]})", "input_ids", "list of token ids"},
      {"/generate", R"({"input_ids":[[1],["a"]]})", "input_ids", "item 1"},
      {"/generate", R"({"input_ids":[1,260]})", "input_ids", "260 is not in the vocabulary of 260"},
      {"/generate", R"({"input_ids":[-1]})", "input_ids", "-1 is not in the vocabulary"},
      {"/generate", R"({"input_ids":[99999999999]})", "input_ids", "list of token ids"},
      {"/generate", sampling(R"("max_new_tokens":-1)"), "sampling_params.max_new_tokens",
       "whole number from 0"},
      {"/generate", sampling(R"("max_new_tokens":"5")"), "sampling_params.max_new_tokens", "got \"5\""},
      {"/generate", sampling(R"("max_new_tokens":1.5)"), "sampling_params.max_new_tokens", "got 1.5"},
      {"/generate", sampling(R"("max_new_tokens":4096)"), "max_new_tokens",
       "1 tokens and max_new_tokens 4096 together exceed the context of 4096"},
      {"/generate", sampling(R"("min_new_tokens":9,"max_new_tokens":8)"), "sampling_params.min_new_tokens",
       "more than max_new_tokens 8"},
      {"/generate", sampling(R"("temperature":-0.1)"), "sampling_params.temperature", "number from 0"},
      {"/generate", sampling(R"("temperature":"hot")"), "sampling_params.temperature", "number"},
      {"/generate", sampling(R"("top_p":0)"), "sampling_params.top_p", "above 0"},
      {"/generate", sampling(R"("top_p":1.01)"), "sampling_params.top_p", "from 0 to 1"},
      {"/generate", sampling(R"("top_k":0)"), "sampling_params.top_k", "-1 (off) or at least 1"},
      {"/generate", sampling(R"("top_k":-2)"), "sampling_params.top_k", "whole number from -1"},
      {"/generate", sampling(R"("min_p":2)"), "sampling_params.min_p", "from 0 to 1"},
      {"/generate", sampling(R"("frequency_penalty":2.5)"), "sampling_params.frequency_penalty",
       "from -2 to 2"},
      {"/generate", sampling(R"("presence_penalty":-2.5)"), "sampling_params.presence_penalty",
       "from -2 to 2"},
      {"/generate", sampling(R"("repetition_penalty":0)"), "sampling_params.repetition_penalty", "above 0"},
      {"/generate", sampling(R"("seed":1e30)"), "sampling_params.seed", "whole number"},
      {"/generate", sampling(R"("n":0)"), "sampling_params.n", "from 1 to 128"},
      {"/generate", sampling(R"("n":129)"), "sampling_params.n", "from 1 to 128"},
      {"/generate", sampling(R"("ignore_eos":1)"), "sampling_params.ignore_eos", "true or false"},
      {"/generate", sampling(R"("stop":[1])"), "sampling_params.stop", "list of strings"},
      {"/generate", sampling(R"("stop":)" + many_strings("s", 33)), "sampling_params.stop", "at most 32"},
      {"/generate", sampling(R"("stop":")" + std::string(257, 'x') + "\""), "sampling_params.stop",
       "257 characters"},
      {"/generate", sampling(R"("stop_regex":"(")"), "stop_regex", "stop_regex"},
      {"/generate", sampling(R"("stop_token_ids":[300])"), "stop_token_ids", "300 is not in the vocabulary"},
      {"/generate", sampling(R"("logit_bias":{"a":1})"), "sampling_params.logit_bias", "token ids as keys"},
      {"/generate", sampling(R"("logit_bias":{"1":101})"), "sampling_params.logit_bias", "from -100 to 100"},
      {"/generate", sampling(R"("logit_bias":{"260":1})"), "logit_bias", "260 is not in the vocabulary"},
      {"/generate", sampling(R"("json_schema":"{}")"), "sampling_params.json_schema", "not supported"},
      {"/generate", sampling(R"("regex":"a+")"), "sampling_params.regex", "not supported"},
      {"/generate", sampling(R"("ebnf":"root ::= x")"), "sampling_params.ebnf", "not supported"},
      {"/generate", R"({"text":"a","sampling_params":7})", "sampling_params", "object"},
      {"/generate", R"({"text":["a","b"],"sampling_params":[{}]})", "sampling_params",
       "1 items for 2 prompts"},
      {"/generate", R"({"text":["a","b"],"sampling_params":[{},{"n":0}]})", "sampling_params[1].n",
       "from 1 to 128"},
      {"/generate", R"({"text":["a","b"],"rid":["x"]})", "rid", "1 items for 2 prompts"},
      {"/generate", R"({"text":"a","stream":"yes"})", "stream", "true or false"},
      {"/generate", R"({"text":"a","lora_path":"x"})", "lora_path", "not supported"},
      {"/generate", R"({"text":"a","image_data":"x"})", "image_data", "only text"},
      {"/generate", R"({"text":"a","return_hidden_states":true})", "return_hidden_states", "not supported"},
      {"/generate", R"({"text":"a","return_logprob":true,"top_logprobs_num":129})", "top_logprobs_num",
       "from 0 to 128"},
      {"/generate", R"({"text":"a","return_logprob":true,"token_ids_logprob":[260]})", "token_ids_logprob",
       "not in the vocabulary"},
      {"/generate", R"({"text":"a","return_logprob":true,"logprob_start_len":2})", "logprob_start_len",
       "beyond the prompt's 1 tokens"},
  };
}

std::vector<BadRequest> bad_openai() {
  return {
      {"/v1/completions", "{}", "prompt", "required"},
      {"/v1/completions", R"({"prompt":[]})", "prompt", "required"},
      {"/v1/completions", R"({"prompt":7})", "prompt", "expected a string"},
      {"/v1/completions", R"({"prompt":["a",7]})", "prompt", "expected a string"},
      {"/v1/completions", completion(R"("max_tokens":-1)"), "max_tokens", "whole number from 0"},
      {"/v1/completions", completion(R"("max_tokens":5000)"), "max_tokens", "exceed the context of 4096"},
      {"/v1/completions", completion(R"("min_tokens":20)"), "min_tokens",
       "min_tokens 20 is more than max_tokens 16"},
      {"/v1/completions", completion(R"("logprobs":21)"), "logprobs", "from 0 to 20"},
      {"/v1/completions", completion(R"("suffix":"x")"), "suffix", "not supported"},
      {"/v1/completions", completion(R"("best_of":2)"), "best_of", "only the value of n"},
      {"/v1/completions", completion(R"("stream_options":{"include_usage":3})"),
       "stream_options.include_usage", "true or false"},
      {"/v1/completions", completion(R"("response_format":{"type":"json_object"})"), "response_format",
       "only"},
      {"/v1/chat/completions", "{}", "messages", "required"},
      {"/v1/chat/completions", R"({"messages":[]})", "messages", "at least one message"},
      {"/v1/chat/completions", R"({"messages":["a"]})", "messages", "message 0"},
      {"/v1/chat/completions", R"({"messages":[{"content":"a"}]})", "messages", "no role"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user"}]})", "messages", "no content"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})",
       "messages", "only content parts of type text"},
      {"/v1/chat/completions", chat(R"("top_logprobs":3)"), "top_logprobs", "needs logprobs"},
      {"/v1/chat/completions", chat(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs", "from 0 to 20"},
      {"/v1/chat/completions", chat(R"("tools":[{"type":"function"}])"), "tools", "not supported"},
      {"/v1/chat/completions", chat(R"("tool_choice":"required")"), "tool_choice", "not supported"},
      {"/v1/chat/completions", chat(R"("response_format":{"type":"json_schema"})"), "response_format",
       "only"},
      {"/v1/chat/completions", chat(R"("max_completion_tokens":5000)"), "max_completion_tokens",
       "exceed the context"},
      {"/v1/chat/completions", chat(R"("chat_template_kwargs":"x")"), "chat_template_kwargs", "an object"},
      {"/tokenize", "{}", "prompt", "required"},
      {"/detokenize", R"({"tokens":"a"})", "tokens", "list of token ids"},
  };
}

// Every case is sent to one server, while streams run on it whose tokens must not change.
void expect_refused(const std::vector<BadRequest>& cases) {
  ServedEngine served({.step = std::chrono::milliseconds(1)});
  std::vector<std::unique_ptr<Client>> streams;
  for (int i = 0; i < 4; ++i) {
    streams.push_back(std::make_unique<Client>(served.server->port()));
    streams.back()->request("POST", "/generate",
                            R"({"text":"abc","stream":true,"sampling_params":{"max_new_tokens":300}})");
  }
  for (const BadRequest& bad : cases) {
    SCOPED_TRACE(testing::PrintToString(bad));
    const ClientAnswer answer = served.ask("POST", bad.target, bad.body);
    ASSERT_EQ(answer.status, 400) << answer.body;
    const Json error = Json::parse(answer.body)["error"];
    EXPECT_EQ(error["param"], bad.param.empty() ? Json() : Json(bad.param));
    EXPECT_THAT(error["message"].get<std::string>(), testing::HasSubstr(bad.message));
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_EQ(error["code"], 400);
  }
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += "abc";
  for (const auto& stream : streams)
    EXPECT_THAT(stream->read_answer().body, testing::HasSubstr("\"text\":\"" + expected + "\""));
}

TEST(BadRequest, WithABrokenBodyIsRefused) {
  expect_refused(bad_bodies());
}
TEST(BadRequest, ToGenerateNamesTheParameter) {
  expect_refused(bad_generates());
}
TEST(BadRequest, ToTheOpenAiRoutesNamesTheParameter) {
  expect_refused(bad_openai());
}

TEST(BadRequest, WithALongTextIsRefusedBeforeItIsEncoded) {
  ServedEngine served;
  const ClientAnswer answer =
      served.ask("POST", "/generate", Json{{"text", std::string(1 << 20, 'a')}}.dump());
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, testing::HasSubstr("more than the context of 4096 tokens can hold"));
}

TEST(BadRequest, OverTheBodyLimitIsRefused) {
  ServedEngine served({.server = {.limits = {.max_body_bytes = 1000}}});
  const ClientAnswer answer = served.ask("POST", "/generate", std::string(1001, ' '));
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(Json::parse(answer.body)["error"]["code"], 413);
}

}  // namespace
}  // namespace musaic
