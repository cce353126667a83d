#include <gmock/gmock.h>

#include <future>

#include "server/served_for_test.h"

namespace musaic {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLong = R"({"text":"abc","sampling_params":{"max_new_tokens":4000}})";

TEST(Routes, ReportHealthByState) {
  ServedEngine served({.ready = false});
  EXPECT_EQ(served.ask("GET", "/ping").status, 200);
  for (const char* path : {"/health", "/ready", "/health_generate"})
    EXPECT_EQ(served.ask("GET", path).status, 503) << path;
  EXPECT_EQ(served.ask("POST", "/generate", R"({"text":"a"})").status, 503);
  served.server->set_ready();
  for (const char* path : {"/health", "/ready", "/health_generate"})
    EXPECT_EQ(served.ask("GET", path).status, 200) << path;
}

TEST(Routes, AnswerUnknownPathsAndWrongMethodsInTheSchema) {
  ServedEngine served;
  const ClientAnswer unknown = served.ask("GET", "/nowhere");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Json::parse(unknown.body)["error"], Json({{"message", "there is no route /nowhere"},
                                                      {"type", "not_found_error"},
                                                      {"param", nullptr},
                                                      {"code", 404}}));
  const ClientAnswer wrong = served.ask("GET", "/generate");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "OPTIONS, POST");
  EXPECT_EQ(Json::parse(wrong.body)["error"]["code"], 405);
  EXPECT_EQ(served.ask("DELETE", "/health").status, 405);
}

TEST(Routes, TellOfTheModel) {
  ServedEngine served;
  const Json info = served.get("/model_info");
  EXPECT_EQ(info["model_path"], "/models/tiny.gguf");
  EXPECT_EQ(info["is_generation"], true);
  EXPECT_EQ(info["architectures"], Json::parse(R"(["LlamaForCausalLM"])"));
  EXPECT_EQ(served.get("/get_model_info"), info);
}

TEST(Routes, TellOfTheServer) {
  ServedEngine served;
  const Json info = served.get("/server_info");
  EXPECT_EQ(info["page_size"], 16);
  EXPECT_EQ(info["internal_states"][0]["effective_max_running_requests_per_dp"], 64);
  EXPECT_EQ(info["internal_states"][0]["memory_usage"]["token_capacity"], 100000);
  EXPECT_TRUE(info["internal_states"][0]["last_gen_throughput"].is_number());
  EXPECT_EQ(info["programs"]["captured"], 3);
  EXPECT_EQ(info["steps"][0]["reason"], "bucket");
  EXPECT_EQ(served.get("/get_server_info")["programs"], info["programs"]);
}

TEST(Routes, ExplainAProgramInTheFormatThatIsAsked) {
  ServedEngine served;
  const ClientAnswer json = served.ask("GET", "/musaic/program");
  EXPECT_EQ(json.body, "extend -1 -1 json ");
  EXPECT_EQ(json.headers.at("content-type"), "application/json");
  const ClientAnswer svg =
      served.ask("GET", "/musaic/program?graph=decode&bucket=4&past=9&format=svg&roof=38%2C300");
  EXPECT_EQ(svg.body, "decode 4 9 svg 38,300");
  EXPECT_EQ(svg.headers.at("content-type"), "image/svg+xml");
  EXPECT_EQ(svg.headers.at("content-security-policy"), "default-src 'none'; style-src 'unsafe-inline'");
  EXPECT_EQ(served.ask("GET", "/musaic/program?format=text").headers.at("content-type"),
            "text/plain; charset=utf-8");
}

TEST(Routes, RefuseToExplainWhatThereIsNot) {
  ServedEngine served;
  const std::pair<const char*, const char*> cases[] = {
      {"bucket=50", "bucket 50: no bucket of extend"},
      {"bucket=x", "bucket: expected a whole number, got x"},
      {"past=-1", "past: expected a whole number, got -1"},
      {"bucket=99999999999", "bucket: expected a whole number, got 99999999999"},
      {"format=pdf", "format: expected json, text or svg, got pdf"},
  };
  for (const auto& [query, message] : cases) {
    const ClientAnswer answer = served.ask("GET", std::string("/musaic/program?") + query);
    EXPECT_EQ(answer.status, 400) << query;
    EXPECT_EQ(Json::parse(answer.body)["error"]["message"], message);
  }
}

TEST(Routes, TellOfTheLoad) {
  ServedEngine served({.step = 1ms});
  Client client(served.server->port());
  client.request("POST", "/generate", kLong);
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 1; }));
  const Json load = served.get("/get_load");
  EXPECT_EQ(load[0]["num_reqs"], 1);
  EXPECT_GE(load[0]["num_tokens"].get<int>(), 3);
  const Json loads = served.get("/v1/loads");
  EXPECT_EQ(loads["loads"][0]["num_running_reqs"], 1);
  EXPECT_EQ(loads["loads"][0]["max_total_num_tokens"], 100000);
  EXPECT_EQ(loads["num_accelerators"], 1);
}

TEST(Routes, ShowMetricsUnderSglangsNames) {
  ServedEngine served;
  served.post("/generate", {{"text", "abc"}, {"sampling_params", {{"max_new_tokens", 5}}}});
  const ClientAnswer answer = served.ask("GET", "/metrics");
  EXPECT_EQ(answer.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const char* name :
       {"num_running_reqs", "num_queue_reqs", "num_used_tokens", "token_usage", "gen_throughput",
        "cache_hit_rate", "prompt_tokens_total", "generation_tokens_total", "num_requests_total",
        "num_aborted_requests_total", "num_retracted_requests_total", "time_to_first_token_seconds_count",
        "inter_token_latency_seconds_count", "e2e_request_latency_seconds_count", "queue_time_seconds_count",
        "cuda_graph_passes_total", "is_cuda_graph"}) {
    EXPECT_THAT(answer.body, HasSubstr("\nsglang:" + std::string(name) + "{"));
  }
  EXPECT_THAT(answer.body, HasSubstr("sglang:generation_tokens_total{engine_type=\"unified\",model_name="
                                     "\"org/tiny\",tp_rank=\"0\"} 5\n"));
  EXPECT_THAT(answer.body, HasSubstr("musaic:steps_total{"));
}

TEST(Routes, HideMetricsThatAreSwitchedOff) {
  ServedEngine served({.server = {.enable_metrics = false}});
  EXPECT_EQ(served.ask("GET", "/metrics").status, 404);
}

TEST(Routes, FlushTheCacheWhenNothingRuns) {
  ServedEngine served({.step = 1ms});
  EXPECT_EQ(served.ask("POST", "/flush_cache").status, 200);
  EXPECT_EQ(served.ask("GET", "/flush_cache?timeout=60").status, 200);
  EXPECT_EQ(served.ask("POST", "/flush_cache?timeout=x").status, 400);
  Client client(served.server->port());
  client.request("POST", "/generate", R"({"text":"abc","sampling_params":{"max_new_tokens":200}})");
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 1; }));
  EXPECT_EQ(served.ask("POST", "/flush_cache").status, 400);
  EXPECT_EQ(served.ask("POST", "/flush_cache?timeout=10").status, 200);  // waits for the request
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST(Routes, AbortAllRequests) {
  ServedEngine served({.step = 1ms});
  Client client(served.server->port());
  client.request("POST", "/generate", kLong);
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 1; }));
  const ClientAnswer answer = served.ask("POST", "/abort_request", R"({"abort_all":true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(Json::parse(client.read_answer().body)["meta_info"]["finish_reason"]["type"], "abort");
  EXPECT_EQ(served.ask("POST", "/abort_request", "{}").status, 400);
}

TEST(Routes, StartAndStopAProfileUnderSglangsNames) {
  ServedEngine served;
  EXPECT_EQ(served.ask("POST", "/stop_profile").status, 400);
  for (const char* method : {"GET", "POST"}) {
    EXPECT_EQ(served.ask(method, "/start_profile").body, "Start profiling.\n/traces/0-0.json\n");
    EXPECT_THAT(served.ask("POST", "/start_profile").body, HasSubstr("stop it first"));
    EXPECT_THAT(served.ask(method, "/stop_profile").body, HasSubstr("/traces/0-0.json"));
  }
  const char* asked =
      R"({"output_dir": "/mine", "start_step": 3, "num_steps": 5, "activities": ["CPU", "GPU"],
          "profile_by_stage": false, "with_stack": null})";
  EXPECT_EQ(served.ask("POST", "/start_profile", asked).body, "Start profiling.\n/mine/3-5.json\n");
}

TEST(Routes, RefuseWhatAProfileCannotHold) {
  ServedEngine served;
  for (const char* body : {R"({"profile_by_stage": true})", R"({"activities": ["MEM"]})",
                           R"({"num_steps": 0})", R"({"start_step": -1})", R"({"output_dir": 7})"}) {
    EXPECT_EQ(served.ask("POST", "/start_profile", body).status, 400) << body;
  }
  EXPECT_EQ(served.ask("POST", "/stop_profile").status, 400) << "none was started";
}

TEST(Routes, ServeAPageWithoutOutsideResources) {
  ServedEngine served;
  const ClientAnswer answer = served.ask("GET", "/");
  EXPECT_EQ(answer.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(answer.headers.at("content-security-policy"), HasSubstr("default-src 'none'"));
  EXPECT_THAT(answer.body, HasSubstr("<!doctype html>"));
  EXPECT_THAT(answer.body, Not(testing::ContainsRegex("(src|href)=\"?https?:")));
  Client client(served.server->port());
  client.request("HEAD", "/");
  EXPECT_EQ(client.read_answer(/*has_body=*/false).headers.at("content-length"),
            std::to_string(answer.body.size()));
}

TEST(Keys, GuardEveryRouteButThePageHealthAndMetrics) {
  ServedEngine served({.server = {.api_key = "secret"}});
  for (const char* path : {"/", "/health", "/ready", "/ping", "/metrics"})
    EXPECT_EQ(served.ask("GET", path).status, 200) << path;
  for (const char* path : {"/v1/models", "/model_info", "/server_info", "/get_load", "/v1/loads",
                           "/musaic/program", "/flush_cache", "/health_generate"}) {
    EXPECT_EQ(served.ask("GET", path).status, 401) << path;
    EXPECT_EQ(served.ask("GET", path, "", "Authorization: Bearer secret\r\n").status, 200) << path;
    EXPECT_EQ(served.ask("GET", path, "", "Authorization: Bearer secrets\r\n").status, 401) << path;
  }
  const ClientAnswer answer = served.ask("POST", "/generate", R"({"text":"a"})");
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.headers.at("www-authenticate"), "Bearer");
  EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
}

TEST(Keys, KeepControlRoutesForTheAdmin) {
  ServedEngine served({.server = {.api_key = "user", .admin_api_key = "admin"}});
  EXPECT_EQ(served.ask("POST", "/flush_cache").status, 401);
  EXPECT_EQ(served.ask("POST", "/flush_cache", "", "Authorization: Bearer user\r\n").status, 403);
  EXPECT_EQ(served.ask("POST", "/flush_cache", "", "authorization: bearer admin\r\n").status, 200);
  EXPECT_EQ(served.ask("GET", "/model_info", "", "Authorization: Bearer user\r\n").status, 200);
}

TEST(Origins, AreRefusedUnlessAllowed) {
  ServedEngine served;
  EXPECT_EQ(served.ask("GET", "/model_info", "", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(served.ask("GET", "/model_info", "", "Origin: null\r\n").status, 403);
  EXPECT_EQ(served.ask("GET", "/model_info", "", "Origin: http://test\r\n").status, 200);  // our own page
}

TEST(Origins, AreNamedWhenAllowed) {
  ServedEngine served({.server = {.api_key = "k", .allowed_origins = {"http://app.example"}}});
  const ClientAnswer preflight = served.ask(
      "OPTIONS", "/generate", "", "Origin: http://app.example\r\nAccess-Control-Request-Method: POST\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.at("access-control-allow-origin"), "http://app.example");
  EXPECT_THAT(preflight.headers.at("access-control-allow-headers"), HasSubstr("authorization"));
  const ClientAnswer answer =
      served.ask("GET", "/model_info", "", "Origin: http://app.example\r\nAuthorization: Bearer k\r\n");
  EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "http://app.example");
  EXPECT_EQ(served.ask("GET", "/model_info", "", "Origin: http://other.example\r\n").status, 403);
}

TEST(Server, FinishesRunningStreamsWhenItDrains) {
  ServedEngine served({.step = 1ms});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<Client>(served.server->port()));
    clients.back()->request("POST", "/generate",
                            R"({"text":"abc","stream":true,"sampling_params":{"max_new_tokens":200}})");
  }
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 16; }));
  auto drained = std::async(std::launch::async, [&] { return served.server->drain_and_stop(); });
  ASSERT_TRUE(eventually([&] { return served.ask("GET", "/health").status == 503; }));
  EXPECT_EQ(served.ask("POST", "/generate", R"({"text":"a"})").status, 503);
  for (const auto& client : clients) {
    const ClientAnswer answer = client->read_answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, testing::EndsWith("data: [DONE]\n\n"));
    EXPECT_THAT(answer.body, HasSubstr("\"completion_tokens\":200"));
  }
  EXPECT_TRUE(drained.get());
}

TEST(Server, CutsOffWhatOutlastsTheDrainsTime) {
  ServedEngine served({.step = 1ms});
  Client client(served.server->port());
  client.request("POST", "/generate", kLong);
  ASSERT_TRUE(eventually([&] { return served.engine.stats().running_requests == 1; }));
  EXPECT_FALSE(served.server->drain_and_stop(50ms));
}

TEST(Server, StopsWhileRequestsRun) {
  auto served = std::make_unique<ServedEngine>(ServedOptions{.step = 1ms});
  Client client(served->server->port());
  client.request("POST", "/generate", kLong);
  ASSERT_TRUE(eventually([&] { return served->engine.stats().running_requests == 1; }));
  served->server.reset();
  EXPECT_EQ(client.read_answer().status, 0);
}

TEST(Server, SurvivesClientsThatStayAfterADrain) {
  ServedEngine served;
  Client kept(served.server->port());
  kept.request("GET", "/ping");
  EXPECT_EQ(kept.read_answer().status, 200);
  EXPECT_TRUE(served.server->drain_and_stop());
  EXPECT_TRUE(kept.at_end());
}

}  // namespace
}  // namespace musaic
