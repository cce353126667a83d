#include "metrics/request_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "metrics/step_families.h"

namespace musaic {
namespace {

using Bounds = prometheus::Histogram::BucketBoundaries;

// Seconds; SGLang's bounds, so that its dashboards fit.
Bounds first_token_bounds() {
  return {0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400};
}
Bounds token_gap_bounds() {
  return {0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060,
          0.080, 0.100, 0.200, 0.400, 0.600, 0.800, 1.000, 2.000, 4.000, 6.000, 8.000};
}
Bounds request_bounds() {
  return {0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 1200, 1800, 2400};
}
Bounds queue_bounds() {
  return {0.000, 0.001, 0.005, 0.010, 0.020, 0.050, 0.100, 0.200, 0.500, 1,  2,
          3,     4,     5,     10,    15,    20,    25,    30,    40,    50, 60};
}

}  // namespace

struct RequestMetrics::State {
  explicit State(const std::string& model_name)
      : labels{{"model_name", model_name}, {"engine_type", "unified"}, {"tp_rank", "0"}} {}

  prometheus::Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
  }
  prometheus::Histogram& histogram(const char* name, const char* help, Bounds bounds) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels,
                                                                                     std::move(bounds));
  }

  const std::map<std::string, std::string> labels;
  prometheus::Registry registry;
  prometheus::Counter& requests = counter("sglang:num_requests_total", "Requests taken");
  prometheus::Counter& prompt_tokens =
      counter("sglang:prompt_tokens_total", "Prompt tokens of the requests taken");
  prometheus::Counter& generated = counter("sglang:generation_tokens_total", "Tokens generated");
  prometheus::Histogram& first_token =
      histogram("sglang:time_to_first_token_seconds", "From a request's arrival to its first token",
                first_token_bounds());
  prometheus::Histogram& token_gap =
      histogram("sglang:inter_token_latency_seconds", "Between two tokens of an answer", token_gap_bounds());
  prometheus::Histogram& request_time = histogram("sglang:e2e_request_latency_seconds",
                                                  "From a request's arrival to its end", request_bounds());
  prometheus::Histogram& queue_time =
      histogram("sglang:queue_time_seconds", "From a request's arrival to its first step", queue_bounds());
};

RequestMetrics::RequestMetrics(const std::string& model_name) : state_(std::make_unique<State>(model_name)) {}
RequestMetrics::~RequestMetrics() = default;

void RequestMetrics::add_request(int prompt_tokens) {
  state_->requests.Increment();
  state_->prompt_tokens.Increment(prompt_tokens);
}

void RequestMetrics::add_generated(int tokens) {
  state_->generated.Increment(tokens);
}
void RequestMetrics::observe_queue(double seconds) {
  state_->queue_time.Observe(seconds);
}
void RequestMetrics::observe_first_token(double seconds) {
  state_->first_token.Observe(seconds);
}
void RequestMetrics::observe_end(double seconds) {
  state_->request_time.Observe(seconds);
}

void RequestMetrics::observe_token_gap(double seconds, int tokens) {
  for (int i = 0; i < tokens; ++i) state_->token_gap.Observe(seconds / tokens);
}

std::string RequestMetrics::render(const MetricsSnapshot& snapshot) const {
  std::vector<prometheus::MetricFamily> families = state_->registry.Collect();
  for (auto& family : snapshot_families(snapshot, state_->labels)) families.push_back(std::move(family));
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace musaic
