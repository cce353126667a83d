#include "metrics/request_metrics.h"

#include <gmock/gmock.h>

namespace musaic {
namespace {

using ::testing::HasSubstr;

constexpr const char* kLabels = R"(engine_type="unified",model_name="tiny",tp_rank="0")";

std::string line(const std::string& name, const std::string& more, const std::string& value) {
  return name + "{" + kLabels + more + "} " + value + "\n";
}

TEST(RequestMetrics, CountsRequestsAndTheirTokens) {
  RequestMetrics metrics("tiny");
  metrics.add_request(7);
  metrics.add_request(5);
  metrics.add_generated(3);
  const std::string text = metrics.render({});
  EXPECT_THAT(text, HasSubstr(line("sglang:num_requests_total", "", "2")));
  EXPECT_THAT(text, HasSubstr(line("sglang:prompt_tokens_total", "", "12")));
  EXPECT_THAT(text, HasSubstr(line("sglang:generation_tokens_total", "", "3")));
}

TEST(RequestMetrics, SpreadsTokensThatCameTogetherOverTheirGap) {
  RequestMetrics metrics("tiny");
  metrics.observe_token_gap(0.3, 3);
  const std::string text = metrics.render({});
  EXPECT_THAT(text, HasSubstr(line("sglang:inter_token_latency_seconds_count", "", "3")));
  EXPECT_THAT(text, HasSubstr("sglang:inter_token_latency_seconds_bucket{" + std::string(kLabels) +
                              ",le=\"0.2\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("sglang:inter_token_latency_seconds_bucket{" + std::string(kLabels) +
                              ",le=\"0.08\"} 0\n"));
}

TEST(RequestMetrics, ShowsBucketsByStateAndWhatVerificationFound) {
  const RequestMetrics metrics("tiny");
  MetricsSnapshot snapshot;
  snapshot.buckets = {{"captured", 5}, {"quarantined", 1}};
  snapshot.verified_steps = 9;
  snapshot.verify_differences = 1;
  const std::string text = metrics.render(snapshot);
  EXPECT_THAT(
      text,
      HasSubstr("musaic:graph_buckets{engine_type=\"unified\",model_name=\"tiny\",state=\"quarantined\","
                "tp_rank=\"0\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_verified_steps_total", "", "9")));
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_verify_differences_total", "", "1")));
}

TEST(RequestMetrics, ShowsStepsByPhaseModeBucketAndReason) {
  const RequestMetrics metrics("tiny");
  MetricsSnapshot snapshot;
  snapshot.used_tokens = 25;
  snapshot.token_capacity = 100;
  snapshot.steps = {{.record = {.kind = StepKind::kExtend,
                                .replayed = true,
                                .tokens = 0,
                                .bucket = 64,
                                .reason = "bucket",
                                .seconds = 0.5},
                     .steps = 3,
                     .pad_rows = 9},
                    {.record = {.kind = StepKind::kDecode,
                                .replayed = false,
                                .tokens = 0,
                                .bucket = 8,
                                .reason = "disabled",
                                .seconds = 0.25},
                     .steps = 1,
                     .pad_rows = 2}};
  const std::string text = metrics.render(snapshot);
  EXPECT_THAT(
      text,
      HasSubstr(
          "musaic:steps_total{bucket=\"64\",engine_type=\"unified\",mode=\"replayed\",model_name=\"tiny\","
          "phase=\"extend\",reason=\"bucket\",tp_rank=\"0\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("sglang:cuda_graph_passes_total{engine_type=\"unified\",mode=\"prefill_cuda_"
                              "graph\",model_name=\"tiny\",tp_rank=\"0\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("mode=\"decode_none\",model_name=\"tiny\",tp_rank=\"0\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(line("sglang:is_cuda_graph", "", "0.75")));
  EXPECT_THAT(text, HasSubstr(line("sglang:token_usage", "", "0.25")));
}

TEST(RequestMetrics, TellsHowExecutablesOfGraphsTakeTurns) {
  const RequestMetrics metrics("tiny");
  const std::string text = metrics.render({.graph_executable_budget = 64,
                                           .graph_executables = 60,
                                           .graph_rotations = 7,
                                           .graph_rotation_seconds = 0.5});
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_executable_budget", "", "64")));
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_executables", "", "60")));
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_rotations_total", "", "7")));
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_rotation_seconds_total", "", "0.5")));
}

TEST(RequestMetrics, CountsCallsOfTheDevicesDriver) {
  const RequestMetrics metrics("tiny");
  const std::string text =
      metrics.render({.device_calls = {.allocations = 5, .executables = 60, .waits = 2, .reads = 700}});
  EXPECT_THAT(text, HasSubstr(line("musaic:device_allocations_total", "", "5")));
  EXPECT_THAT(text, HasSubstr(line("musaic:graph_executables_made_total", "", "60")));
  EXPECT_THAT(text, HasSubstr(line("musaic:device_waits_total", "", "2")));
  EXPECT_THAT(text, HasSubstr(line("musaic:device_reads_total", "", "700")));
}

TEST(RequestMetrics, EscapesTheModelName) {
  const RequestMetrics metrics("a\"b\\c");
  EXPECT_THAT(metrics.render({}), HasSubstr(R"(model_name="a\"b\\c")"));
}

}  // namespace
}  // namespace musaic
