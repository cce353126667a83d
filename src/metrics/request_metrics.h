#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device/device_calls.h"
#include "metrics/step_counts.h"

namespace musaic {

// The state of the engine at the time of a scrape.
struct MetricsSnapshot {
  int running_requests = 0;
  int waiting_requests = 0;
  int64_t used_tokens = 0;
  int64_t token_capacity = 0;
  double gen_throughput = 0.0;  // tokens a second
  double cache_hit_rate = 0.0;
  uint64_t aborted_requests = 0;
  uint64_t retracted_requests = 0;
  double capture_seconds = 0.0;
  int64_t graph_bytes = 0;
  std::map<std::string, int> buckets;  // by state: waiting, captured, over_memory_budget, quarantined
  uint64_t verified_steps = 0;         // run again eagerly and compared
  uint64_t verify_differences = 0;
  int graph_executable_budget = 0;  // 0: none
  int graph_executables = 0;        // live
  uint64_t graph_rotations = 0;     // replays that took another graph's executable
  double graph_rotation_seconds = 0.0;
  DeviceCalls device_calls;
  std::vector<StepCount> steps;
};

// Counters and histograms of requests, and the text that Prometheus reads, under SGLang's names and labels.
// Every method may be called from any thread.
class RequestMetrics {
 public:
  explicit RequestMetrics(const std::string& model_name);
  ~RequestMetrics();

  void add_request(int prompt_tokens);
  void add_generated(int tokens);
  void observe_queue(double seconds);
  void observe_first_token(double seconds);
  void observe_token_gap(double seconds, int tokens);  // mean over the tokens that came together
  void observe_end(double seconds);

  // Prometheus' text format.
  std::string render(const MetricsSnapshot& snapshot) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace musaic
